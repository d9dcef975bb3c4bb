//! Keys, accounts and limits: entered by the commands, read as hosts read them.

use aegis_host::{
    accounts::State,
    books::Scope,
    directory::{Directory, DirectoryError},
    vault::VaultError,
};
use aegis_wire::control::Class;
use sqlx::Row;

use crate::base::{Base, providers};

const SECRET: &str = "aegis-vk-test-laptop";

fn digest(secret: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(secret))
}

async fn with_key(base: &Base, more: &str) {
    base.all(&["tenant create acme --exists-ok", "team create acme/red --exists-ok"]).await;
    let line =
        format!("key create laptop --tenant acme --team red --sha256 {}{more}", digest(SECRET));
    base.run(&line).await.unwrap();
}

async fn keys_are_found_by_their_secret_and_end(base: Base) {
    with_key(&base, " --provider gemini --class count --reserve 0.5").await;
    let directory = base.directory().await;
    let id = directory.keys.find(SECRET, 0).unwrap();
    let key = directory.keys.holder(id, 0).unwrap();
    assert_eq!((key.name.as_str(), key.team.as_str()), ("laptop", "acme/red"));
    assert_eq!(key.providers, Some(vec![providers().index_of("gemini").unwrap()]));
    assert_eq!(key.reserve.map(|amount| amount.0), Some(500_000));
    assert!(base.run("key create laptop --tenant acme").await.is_err(), "the name is taken");
    base.run("key create laptop --tenant acme --team red --exists-ok").await.unwrap();
    base.run("key set laptop --expires 2026-02-01").await.unwrap();
    let directory = base.directory().await;
    let end = 1_769_904_000_000;
    let id = directory.keys.find(SECRET, end - 1).unwrap();
    let key = directory.keys.holder(id, 0).unwrap();
    assert_eq!(key.providers.as_ref().map(Vec::len), Some(1), "what is not named stays");
    assert_eq!(key.classes.as_deref(), Some(&[Class::Count][..]));
    assert_eq!(key.reserve.map(|amount| amount.0), Some(500_000));
    assert!(directory.keys.find(SECRET, end).is_none());
    let before = base.store.revision().await.unwrap();
    base.run("key revoke laptop").await.unwrap();
    assert!(base.store.revision().await.unwrap() > before, "hosts are told");
    assert!(base.directory().await.keys.find(SECRET, 0).is_none());
    assert!(base.run("key set laptop").await.unwrap_err().contains("was revoked"));
}

async fn restrictions_are_lifted_by_name_alone(base: Base) {
    with_key(&base, " --provider gemini --class count --reserve 0.5 --expires 2100-01-01").await;
    let key = async || {
        let directory = base.directory().await;
        let id = directory.keys.find(SECRET, 0).unwrap();
        directory.keys.holder(id, 0).unwrap().clone()
    };
    let before = key().await;
    assert!(base.run("key set laptop").await.unwrap_err().contains("give --provider"));
    for (line, expected) in [
        ("key set laptop --provider none", "`none` is not in the table"),
        ("key set laptop --provider any --provider openai", "`any` is not in the table"),
        ("key set laptop --class any --class list", "`any`"),
        ("key set laptop --expires never", "like 2026-12-31, or none"),
    ] {
        let error = base.run(line).await.unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
    }
    assert_eq!(key().await, before);
    base.run("key set laptop --provider any --reserve none").await.unwrap();
    let lifted = key().await;
    assert_eq!((&lifted.providers, lifted.reserve), (&None, None));
    assert_eq!((&lifted.classes, lifted.ends_ms), (&before.classes, before.ends_ms));
    base.run("key set laptop --class any --expires none").await.unwrap();
    assert_eq!((key().await.classes, key().await.ends_ms), (None, None));
}

async fn a_key_that_is_there_is_good_enough_only_if_it_is_the_one_that_was_meant(base: Base) {
    with_key(&base, "").await;
    let lines = ["tenant create other", "team create acme/blue"];
    base.all(&lines).await;
    let (same, other) = (digest(SECRET), digest("aegis-vk-test-other"));
    let refused = async |line: &str| base.run(line).await.unwrap_err();
    let create = "key create laptop --exists-ok";
    base.run(&format!("{create} --tenant acme --team red --sha256 {same}")).await.unwrap();
    base.run(&format!("{create} --tenant acme --team red")).await.unwrap();
    let error = refused(&format!("{create} --tenant acme --team red --sha256 {other}")).await;
    assert!(error.contains("another SHA-256"), "{error}");
    for of in ["other", "acme", "acme --team blue"] {
        let error = refused(&format!("{create} --tenant {of}")).await;
        assert!(error.contains("another tenant or team"), "{of}: {error}");
    }
    base.run("key revoke laptop").await.unwrap();
    let error = refused(&format!("{create} --tenant acme --team red")).await;
    assert!(error.contains("was revoked"), "{error}");
}

async fn a_revoked_team_or_tenant_takes_its_keys_with_it(base: Base) {
    with_key(&base, "").await;
    assert!(base.directory().await.keys.find(SECRET, 0).is_some());
    base.run("team revoke acme/red").await.unwrap();
    assert!(base.directory().await.keys.find(SECRET, 0).is_none());
    base.run("key create other --tenant acme").await.unwrap();
    assert_eq!(base.directory().await.keys.len(), 1);
    base.run("tenant revoke acme").await.unwrap();
    assert!(base.directory().await.keys.is_empty());
    assert!(base.run("key create third --tenant acme").await.unwrap_err().contains("revoked"));
    assert!(base.run("key create third --tenant nobody").await.unwrap_err().contains("no tenant"));
}

async fn a_rotated_key_has_two_secrets_for_a_while(base: Base) {
    with_key(&base, "").await;
    base.run("key rotate laptop --overlap 2").await.unwrap();
    let ends = base.number("SELECT MAX(expires_ms) FROM key_secrets").await as u64;
    let directory = base.directory().await;
    assert!(directory.keys.find(SECRET, ends - 1).is_some());
    assert!(directory.keys.find(SECRET, ends).is_none());
    assert_eq!(base.number("SELECT COUNT(*) FROM key_secrets").await, 2);
    base.run("key rotate laptop --overlap 0").await.unwrap();
    assert!(base.directory().await.keys.find(SECRET, ends - 7_200_000 + 60_000).is_none());
    // Nothing of a secret is in the store but its hash.
    let rows = sqlx::query("SELECT digest FROM key_secrets").fetch_all(base.store.pool()).await;
    for row in rows.unwrap() {
        let digest: String = row.get(0);
        assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}

async fn accounts(base: &Base) {
    std::fs::write(base.path("credential"), "sk-made-up-canary\n").unwrap();
    let file = base.path("credential").display().to_string();
    for line in [
        format!("account create 1 --provider openai --credential-file {file} --weight 3"),
        format!("account set 2 --provider gemini --credential-file {file} --priority 1"),
    ] {
        base.run(&line).await.unwrap();
    }
}

async fn a_credential_is_sealed_and_opens_for_its_account(base: Base) {
    accounts(&base).await;
    let directory = base.directory().await;
    let account = directory.accounts.by_number(1).unwrap();
    assert_eq!(account.credential.expose(), b"sk-made-up-canary");
    assert_eq!((account.weight, account.state), (3, State::Active));
    let sealed = base.word("SELECT sealed FROM accounts WHERE number = 1").await.unwrap();
    assert!(!sealed.contains("canary") && !sealed.contains(&hex::encode("canary")));
    base.run("account set 1 --state draining").await.unwrap();
    let draining = base.directory().await;
    assert_eq!(draining.accounts.by_number(1).unwrap().state, State::Draining);
    assert!(draining.accounts.choose(account.provider, None, "acme", 1).is_none());
    let moved = base.run("account set 1 --provider gemini").await.unwrap_err();
    assert!(moved.contains("--credential-env"), "a credential belongs to its provider: {moved}");
    let owner = "0c".repeat(32);
    base.run(&format!("account create 3 --provider openai --owner {owner}")).await.unwrap();
    let owned = base.directory().await;
    let owned = owned.accounts.by_number(3).unwrap();
    assert_eq!((owned.owner, owned.credential.expose().len()), (Some([12; 32]), 0));
    base.run("account revoke 2").await.unwrap();
    assert_eq!(base.word("SELECT sealed FROM accounts WHERE number = 2").await.unwrap(), "");
    assert!(base.directory().await.accounts.by_number(2).is_none());
    assert!(base.run("account set 2 --weight 5").await.unwrap_err().contains("revoked"));
    // A record that somebody put elsewhere does not open.
    let copy = "UPDATE accounts SET provider = 'anthropic' WHERE number = 1";
    sqlx::query(copy).execute(base.store.pool()).await.unwrap();
    let vault = base.admin().config.master.vault().unwrap();
    let changed = Directory::load(&base.store, vault.as_ref(), &providers()).await.unwrap_err();
    assert!(matches!(changed, DirectoryError::Vault(VaultError::Changed { number: 1 })));
}

async fn a_new_master_key_seals_everything_anew(base: Base) {
    accounts(&base).await;
    base.run("account revoke 2").await.unwrap();
    std::fs::write(base.path("next.key"), "1e".repeat(32)).unwrap();
    let rotated = aegis_host::admin::master::rotate(&base.admin(), base.path("next.key")).await;
    assert_eq!(rotated.unwrap(), 1);
    let old = base.admin().config.master.vault().unwrap();
    let refused = Directory::load(&base.store, old.as_ref(), &providers()).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Vault(VaultError::OtherKey { .. })), "{refused}");
    std::fs::rename(base.path("next.key"), base.path("master.key")).unwrap();
    let directory = base.directory().await;
    let account = directory.accounts.by_number(1).unwrap();
    assert_eq!(account.credential.expose(), b"sk-made-up-canary");
}

/// What a lost master key costs: the credentials, and nothing else.
async fn a_lost_master_key_costs_the_credentials_alone(base: Base) {
    with_key(&base, "").await;
    accounts(&base).await;
    std::fs::write(base.path("master.key"), "2d".repeat(32)).unwrap();
    let lost = base.admin().config.master.vault().unwrap();
    let refused = Directory::load(&base.store, lost.as_ref(), &providers()).await.unwrap_err();
    assert!(refused.to_string().contains("`aegis-host account set`"), "{refused}");
    let none = Directory::load(&base.store, None, &providers()).await.unwrap_err();
    assert!(matches!(none, DirectoryError::NoVault), "{none}");
    for number in [1, 2] {
        let file = base.path("credential").display().to_string();
        base.run(&format!("account set {number} --credential-file {file}")).await.unwrap();
    }
    let directory = base.directory().await;
    assert_eq!((directory.accounts.0.len(), directory.keys.len()), (2, 1));
}

async fn limits_that_are_not_named_stay(base: Base) {
    with_key(&base, "").await;
    base.run("limit set team acme/red --streams 3 --tokens-per-minute 1000").await.unwrap();
    base.run("limit set team acme/red --requests-per-minute 5 --streams none").await.unwrap();
    let directory = base.directory().await;
    let limits = directory.limits[&(Scope::Team, "acme/red".to_owned())];
    assert_eq!((limits.requests_per_minute, limits.streams), (Some(5), None));
    assert_eq!((limits.tokens_per_minute, limits.sessions), (Some(1000), None));
    let nothing = base.run("limit set team acme/red").await.unwrap_err();
    assert!(nothing.contains("give --requests-per-minute"), "{nothing}");
    let word = base.run("limit set team acme/red --streams many").await.unwrap_err();
    assert!(word.contains("write a number, or none"), "{word}");
    base.run("limit revoke team acme/red").await.unwrap();
    assert!(base.directory().await.limits.is_empty());
    assert!(base.run("limit set key nobody --streams 1").await.is_err());
}

async fn mistakes_are_named_and_change_nothing(base: Base) {
    with_key(&base, "").await;
    let before = base.store.revision().await.unwrap();
    for (line, expected) in [
        ("tenant create acme", "there already"),
        ("tenant create a/b", "1 to 64 characters"),
        ("team create acme", "TENANT/TEAM"),
        ("team create nobody/red", "no tenant nobody"),
        ("key create b --tenant acme --team blue", "no team acme/blue"),
        ("key create b --tenant acme --class generte", "`generte`"),
        ("key create b --tenant acme --provider opnai", "`opnai` is not in the table"),
        ("key create b --tenant acme --sha256 canary", "64 hexadecimal digits"),
        ("key create b --tenant acme --expires soon", "like 2026-12-31"),
        ("key rotate nobody", "no key nobody"),
        ("account create 5 --provider openai", "--credential-env"),
        ("account create 0 --provider openai --credential-env HOME", "number accounts from 1"),
        ("account set 5 --weight 1", "no account 5"),
        ("price set m input=abc", "no KIND=AMOUNT"),
        ("price set m inptu=1", "no KIND=AMOUNT"),
        ("price set a,b input=1", "64 characters"),
        ("price revoke nothing", "no price of nothing"),
    ] {
        let error = base.run(line).await.unwrap_err();
        assert!(error.contains(expected) && !error.contains("canary`"), "{line}: {error}");
    }
    assert_eq!(base.store.revision().await.unwrap(), before);
}

crate::on_both! {
    keys_are_found_by_their_secret_and_end
    a_revoked_team_or_tenant_takes_its_keys_with_it
    a_rotated_key_has_two_secrets_for_a_while
    a_credential_is_sealed_and_opens_for_its_account
    a_new_master_key_seals_everything_anew
    a_lost_master_key_costs_the_credentials_alone
    restrictions_are_lifted_by_name_alone
    a_key_that_is_there_is_good_enough_only_if_it_is_the_one_that_was_meant
    limits_that_are_not_named_stay
    mistakes_are_named_and_change_nothing
}
