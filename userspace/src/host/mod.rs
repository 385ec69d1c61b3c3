//! Whether this host's interfaces are fit for the gateway: a [`Survey`] is what there is to know of
//! one before a program is attached to it, and [`findings`] what there is to say of it.

mod finding;
mod survey;

pub use finding::{Finding, Severity, findings};
pub use survey::{Presence, Survey, survey};
