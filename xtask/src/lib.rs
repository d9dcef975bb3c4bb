//! Gates and jobs of the Aegis workspace: `cargo xtask --help`.
//!
//! A gate looks at the tree and refuses it (`tcb`, `deps`, `sizes`, `audit --check`); a job builds
//! and runs something (`up`, `test`, `audit`, `formal`, `image`). Each gate is a function from a folder to a report,
//! so that its tests can hand it a bad tree and see it refuse.

pub mod audit;
pub mod deps;
pub mod failure;
pub mod process;
pub mod sizes;
pub mod source;
pub mod tcb;
pub mod test;
pub mod tools;
pub mod up;
pub mod workspace;

#[cfg(test)]
mod fixture;
