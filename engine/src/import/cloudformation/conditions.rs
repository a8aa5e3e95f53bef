//! Evaluates the conditions of a template.

use serde_json::Value;

use super::resolve::{Resolver, Unknown, cannot};

impl Resolver<'_> {
    /// Returns whether a condition holds, if the template determines that.
    pub(super) fn condition(&mut self, name: &str) -> Result<bool, Unknown> {
        let condition = self.template.conditions.and_then(|conditions| conditions.get(name));
        let Some(condition) = condition else {
            return Err(Unknown::new(format!("the condition {name} is not in the template")));
        };
        self.jump(|it| it.holds(condition)).map_err(|unknown| {
            Unknown::new(format!("the condition {name} is not known: {}", unknown.reason))
        })
    }

    fn holds(&mut self, condition: &Value) -> Result<bool, Unknown> {
        self.step()?;
        let call = condition.as_object().filter(|object| object.len() == 1);
        let Some((name, argument)) = call.and_then(|object| object.iter().next()) else {
            return Err(Unknown::new("it is not a function"));
        };
        let list = argument.as_array().map(Vec::as_slice);
        match (name.as_str(), list) {
            ("Fn::Equals", Some([one, other])) => Ok(self.text(one)? == self.text(other)?),
            ("Fn::Not", Some([other])) => Ok(!self.holds(other)?),
            ("Fn::And", Some(list)) => self.is_any(list, false).map(|any| !any),
            ("Fn::Or", Some(list)) => self.is_any(list, true),
            ("Condition", None) => match argument {
                Value::String(name) => self.condition(name),
                _ => Err(cannot("Condition")),
            },
            (other, _) => Err(cannot(other)),
        }
    }

    /// Returns whether any condition has the value, even if others are not known.
    fn is_any(&mut self, conditions: &[Value], value: bool) -> Result<bool, Unknown> {
        let mut first_unknown = None;
        for condition in conditions {
            match self.holds(condition) {
                Ok(found) if found == value => return Ok(true),
                Ok(_) => {}
                Err(unknown) => {
                    first_unknown.get_or_insert(unknown);
                }
            }
        }
        first_unknown.map_or(Ok(false), Err)
    }
}
