//! Applies the mirror's filter again: decides which of a session's frames pass.
//!
//! | module | purpose |
//! |---|---|
//! | [`direction`] | infers if the frame goes to the mirrored interface or comes from it |
//! | [`dns`] | recognises traffic with Amazon's DNS server |
//! | [`rules`] | finds the first rule that matches, one after the other, for explanations and as the reference in tests |
//! | [`compiled`] | the same in a time that hardly depends on the number of rules, for the data path |
//! | [`ranges`], [`rows`] | rules as ranges of numbers; the rules that a value satisfies |
//! | [`policy`] | evaluates a session's filter, packet length and reserved bits together |
//! | [`shadow`] | finds rules that can never match |
//!
//! Only the inner frame's headers count, and no state: each frame is evaluated by itself, as the
//! mirror does.

pub(crate) mod compiled;
pub(crate) mod direction;
pub(crate) mod dns;
pub(crate) mod policy;
pub(crate) mod ranges;
mod rows;
pub(crate) mod rules;
pub(crate) mod shadow;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use policy::{CompiledFilter, Policies, Policy, Verdict, compile};
