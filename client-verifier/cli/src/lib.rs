//! The aegis command: up, agent, verify
