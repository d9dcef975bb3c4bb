//! Backups while hosts write, and the way from one kind of database to the other.

use aegis_host::store::{Address, CopyError, Store};

use crate::base::{BOOT, Base, NOON, PRICES, sent, terms, usage};

async fn filled(base: &Base, grants: u64) {
    base.all(&["tenant create acme", "budget set tenant acme --month 1000000", PRICES]).await;
    let text = "UPDATE budgets SET period_start = 0";
    sqlx::query(text).execute(base.store.pool()).await.unwrap();
    let books = base.books("one").await;
    for request in 1..=grants {
        let grant = sent(books.grant(NOON, terms(request)).await.unwrap());
        if request % 2 == 0 {
            books.settle(NOON, BOOT, &usage(grant, 70)).await.unwrap();
        }
    }
}

/// Whether the budget of a copy is what its ledger says: a copy of two moments would differ.
async fn adds_up(store: &Store) -> (i64, bool) {
    let number = async |text: &str| -> i64 {
        use sqlx::Row;
        sqlx::query(text).fetch_one(store.pool()).await.unwrap().get(0)
    };
    let used = number("SELECT settled + reserved FROM budgets").await;
    let ledger = "SELECT CAST(COALESCE(SUM(COALESCE(charged, reserved)), 0) AS BIGINT) FROM ledger";
    (number("SELECT COUNT(*) FROM ledger").await, used == number(ledger).await)
}

async fn a_backup_is_one_moment_of_a_store_in_use(base: Base) {
    filled(&base, 20).await;
    let books = base.books("one").await;
    let writing = tokio::spawn(async move {
        for request in 100.. {
            let Ok(written) = books.grant(NOON, terms(request)).await else { return };
            let grant = sent(written);
            if books.settle(NOON, BOOT, &usage(grant, 70)).await.is_err() {
                return;
            }
        }
    });
    for copy in ["one.db", "two.db", "three.db"] {
        let path = base.path(copy);
        base.store.backup(&path).await.unwrap();
        assert!(!path.with_extension("db.partial").exists());
        let copy = Store::open(&Address::sqlite(&path)).await.unwrap();
        let (rows, whole) = adds_up(&copy).await;
        assert!(rows >= 20 && whole, "{rows} rows");
    }
    writing.abort();
    let again = base.store.backup(&base.path("one.db")).await.unwrap_err();
    assert!(matches!(again, CopyError::Exists { .. }), "{again}");
}

/// A backup of `from` fills `to`, which goes on where it ended.
async fn moves(from: Base, to: Base) {
    filled(&from, 101).await;
    let path = from.path("backup.db");
    let rows = from.store.backup(&path).await.unwrap();
    let content = std::fs::read(&path).unwrap();
    assert_eq!(to.store.restore(&path).await.unwrap(), rows);
    assert!(std::fs::read(&path).unwrap() == content, "it was changed");
    for log in ["backup.db-wal", "backup.db-shm"] {
        assert!(!from.path(log).exists(), "{log} was made");
    }
    assert_eq!(adds_up(&to.store).await, (101, true));
    let twice = to.store.restore(&path).await.unwrap_err();
    assert!(matches!(twice, CopyError::NotEmpty(_)), "{twice}");
    let highest = to.number("SELECT MAX(grant_id) FROM ledger").await as u64;
    let books = to.books("one").await;
    let next = sent(books.grant(NOON, terms(500)).await.unwrap());
    assert!(next > highest);
    let open = to.number("SELECT MIN(grant_id) FROM ledger WHERE outcome IS NULL").await as u64;
    books.settle(NOON, BOOT, &usage(open, 70)).await.unwrap();
    assert_eq!(adds_up(&to.store).await, (102, true));
}

async fn what_is_no_backup_is_refused_and_left_alone(base: Base) {
    let empty = base.path("empty.db");
    std::fs::write(&empty, "").unwrap();
    let refused = base.store.restore(&empty).await.unwrap_err().to_string();
    assert!(refused.contains("empty.db: this is no database of aegis-host"), "{refused}");
    assert_eq!(std::fs::metadata(&empty).unwrap().len(), 0);
    let missing = base.store.restore(&base.path("missing.db")).await.unwrap_err().to_string();
    assert!(missing.contains("missing.db") && !base.path("missing.db").exists(), "{missing}");
    let other = Base::sqlite().await;
    filled(&other, 3).await;
    let refused = base.store.restore(&other.path("aegis.db")).await.unwrap_err();
    assert!(matches!(refused, CopyError::InUse { .. }), "{refused}");
}

crate::on_both! {
    what_is_no_backup_is_refused_and_left_alone
    a_backup_is_one_moment_of_a_store_in_use
}

#[tokio::test(flavor = "multi_thread")]
async fn books_move_to_postgresql() {
    moves(Base::sqlite().await, Base::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn books_move_back_to_sqlite() {
    moves(Base::postgres().await, Base::sqlite().await).await;
}
