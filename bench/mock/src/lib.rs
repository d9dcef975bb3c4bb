//! A mock LLM provider: the native APIs over real TLS
