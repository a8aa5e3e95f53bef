//! Recognises files in formats that are taken for TOML.

/// Returns the name of the format that a text which is not TOML seems to have.
pub(super) fn format_of(text: &str) -> Option<&'static str> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let first = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let is_json_list = first
        .strip_prefix('[')
        .is_some_and(|rest| rest.is_empty() || rest.trim_start().starts_with('{'));
    if first.starts_with('{') || is_json_list {
        return Some("JSON");
    }
    let is_yaml_key = first.split_once(':').is_some_and(|(key, value)| {
        !key.contains(['=', '[']) && (value.is_empty() || value.starts_with(' '))
    });
    let is_yaml = is_yaml_key || ["---", "%YAML", "- "].iter().any(|it| first.starts_with(it));
    is_yaml.then_some("YAML")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_are_recognised_by_their_first_line() {
        for (text, format) in [
            ("{\n  \"capture\": {}\n}", Some("JSON")),
            ("[ { \"name\": \"a\" } ]", Some("JSON")),
            ("[\n  1\n]", Some("JSON")),
            ("\n# a comment\ncapture:\n  interface: eth1\n", Some("YAML")),
            ("interface: eth1", Some("YAML")),
            ("%YAML 1.1\n---\nvars:", Some("YAML")),
            ("- name: web", Some("YAML")),
            ("[capture", None),
            ("[[session]]\nname = web", None),
            ("interface = eth1:", None),
            ("", None),
        ] {
            assert_eq!(format_of(text), format, "{text}");
        }
    }
}
