//! The store and the books on both databases: one suite, run on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used)]

mod base;
mod books;
mod budgets;
mod copies;
mod keys;
mod model;
mod postgres;
mod schema;

/// Each of these on both databases.
#[macro_export]
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name($crate::base::Base::sqlite().await).await })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name($crate::base::Base::postgres().await).await })*
        }
    };
}
