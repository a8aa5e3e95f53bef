//! Which of a session's frames are wanted: the mirror's filter, applied again.
//!
//! | module | question |
//! |---|---|
//! | [`direction`] | does the frame go to the mirrored interface or come from it? |
//! | [`dns`] | is it traffic with Amazon's DNS server? |
//! | [`rules`] | which rule matches it first? one after the other, for explanations and as the yardstick |
//! | [`compiled`] | the same in a time that hardly depends on the number of rules, for the data path |
//! | [`ranges`], [`rows`] | what do rules ask for, in numbers? which rules does a value satisfy? |
//! | [`policy`] | does it pass, all in all? |
//! | [`shadow`] | which rules can never match? |
//!
//! Looks at the inner frame's headers and at no state: each frame is judged by itself, as the
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
