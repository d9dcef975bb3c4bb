//! Starts the whole path for tests, with an honest or a hostile host
