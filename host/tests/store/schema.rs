//! Which databases are taken, and which are left alone.

use aegis_host::store::{Address, Store, StoreError};

use crate::base::Base;

async fn execute(base: &Base, text: &str) {
    sqlx::query(text).execute(base.store.pool()).await.unwrap();
}

async fn an_older_or_newer_schema_is_refused_until_it_is_migrated(base: Base) {
    assert_eq!(Store::migrate(&base.address).await.unwrap(), (2, 2));
    for text in [
        "DELETE FROM _sqlx_migrations WHERE version = 2",
        "DROP INDEX ledger_tenant",
        "DROP INDEX ledger_team",
        "DROP INDEX ledger_key",
    ] {
        execute(&base, text).await;
    }
    let older = Store::open(&base.address).await.unwrap_err();
    assert!(matches!(older, StoreError::Older { found: 1, .. }), "{older}");
    assert_eq!(Store::migrate(&base.address).await.unwrap(), (1, 2));
    drop(Store::open(&base.address).await.unwrap());
    execute(&base, "UPDATE _sqlx_migrations SET version = 99 WHERE version = 2").await;
    let newer = Store::open(&base.address).await.unwrap_err();
    assert!(matches!(newer, StoreError::Newer { found: 99, .. }), "{newer}");
    assert!(newer.is_refusal() && Store::migrate(&base.address).await.is_err());
    let checked = Store::check(&base.address).await.unwrap_err();
    assert!(matches!(checked, StoreError::Newer { .. }));
    // A database of tables that are not ours.
    execute(&base, "DROP TABLE _sqlx_migrations").await;
    let foreign = Store::open(&base.address).await.unwrap_err();
    assert!(matches!(foreign, StoreError::Foreign(_)), "{foreign}");
}

async fn a_changed_step_is_refused(base: Base) {
    execute(&base, "UPDATE _sqlx_migrations SET checksum = description").await;
    let changed = Store::migrate(&base.address).await;
    assert!(changed.is_err(), "a step with another text was taken for ours");
}

async fn numbers_come_once_and_above_their_floor(base: Base) {
    let first = base.store.take("grant", 1 << 40, 10).await.unwrap();
    assert_eq!(first, 1 << 40);
    assert_eq!(base.store.take("grant", 0, 10).await.unwrap(), first + 10);
    assert_eq!(base.store.take("grant", 5, 1).await.unwrap(), first + 20);
}

crate::on_both! {
    an_older_or_newer_schema_is_refused_until_it_is_migrated
    numbers_come_once_and_above_their_floor
}

mod changed {
    #[tokio::test(flavor = "multi_thread")]
    async fn sqlite() {
        super::a_changed_step_is_refused(crate::base::Base::sqlite().await).await;
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_an_environment_error_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let sockets = folder.path().display();
    let url = format!("postgres://u:pa@ss-canary@localhost/books?host={sockets}");
    let address = Address::parse(&url, folder.path()).unwrap();
    let error = Store::open(&address).await.unwrap_err();
    assert!(!error.is_refusal());
    let text = format!("{error} {address:?}");
    assert!(text.contains("postgres://localhost/books") && !text.contains("canary"), "{text}");
    for password in ["canary/1", "1/canary", "a?canary", "a#canary", "5432/canary@", "@canary"] {
        let url = format!("postgres://u:{password}@localhost/books?host={sockets}");
        let shown = match Address::parse(&url, folder.path()) {
            Ok(address) => format!("{} {address:?}", Store::open(&address).await.unwrap_err()),
            Err(refused) => refused.to_string(),
        };
        assert!(!shown.contains("canary") && !shown.contains("u:"), "{password}: {shown}");
        assert_eq!(shown.contains("%2F"), password.contains(['/', '?', '#']), "{shown}");
    }
    for text in ["books", "mysql://u:canary@h/d", "sqlite:", ""] {
        let refused = Address::parse(text, folder.path()).unwrap_err().to_string();
        assert!(
            !refused.contains("canary") && refused.contains("; write sqlite:FILE"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn names_of_files_are_taken_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a b?c#d%20é.db", "x=y&mode=ro.db"] {
        let path = folder.path().join(name);
        let store = Store::open(&Address::sqlite(&path)).await.unwrap();
        store.close().await.unwrap();
        assert!(path.is_file(), "{name}");
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
