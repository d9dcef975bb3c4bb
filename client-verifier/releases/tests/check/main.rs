//! One valid bundle plus one defect is one test, named after the defect, asserting the very
//! variant.
#![allow(clippy::unwrap_used)]

mod bundle;
mod history;
mod list;
mod log;
mod note;
mod support;
mod trust;
