//! A mock LLM provider: a real TLS server (HTTP/1.1 and HTTP/2) that speaks the native APIs of
//! OpenAI, Anthropic, Gemini and OpenRouter, records what it receives, and misbehaves on demand.
//!
//! Start one with [`Mock::start`], point a client at [`MockHandle::addr`] with the root of
//! [`MockConfig::root`] as trust anchor, and compare [`MockHandle::recorded`] with what was sent.
//! `README.md` of the crate has the rules of answers and usage, and the list of behaviours that
//! the request header `x-mock-behavior` chooses. This is a test tool: it holds no real secret.

mod api;
mod behavior;
mod body;
mod config;
mod misbehave;
mod random;
mod record;
mod root;
mod server;
mod service;
mod wire;

pub use self::api::Provider;
pub use self::api::THINKING_TEXT;
pub use self::api::count_tokens;
pub use self::api::thinking_signature;
pub use self::behavior::BEHAVIOR_HEADER;
pub use self::config::DEFAULT_KEY;
pub use self::config::MockConfig;
pub use self::config::MockError;
pub use self::config::WRONG_NAME;
pub use self::random::PseudoRandom;
pub use self::record::RecordedBody;
pub use self::record::RecordedRequest;
pub use self::root::MockRoot;
pub use self::root::ROOT_FILE;
pub use self::root::ROOT_KEY_FILE;
pub use self::server::Mock;
pub use self::server::MockHandle;
pub use self::service::REQUEST_DIGEST_HEADER;
