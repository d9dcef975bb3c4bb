//! `aegis account`: an account owner's side of custody *sealed* (DESIGN 3.5). The owner's key stays here; what
//! leaves is a record that one verified enclave can use, inside a session with it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aegis_client::{
    Client, Config, Custodies, Followed, OuterRoots, Router, Session, Trust, VirtualKey,
};
use aegis_verifier::TrustAnchor;
use aegis_wire::{
    account::{self, Account},
    control::{Label, Secret},
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::{
    accepting::Accepting,
    agent::start::{say, stopped},
    args::{AccountSealArgs, AccountServeArgs},
    failure::Failure,
    lists::Teller,
    secret_file,
};

/// Every owner's key begins so in its file.
const KEY_PREFIX: &str = "aegis-owner-";
/// Part of a record's life after which it is sealed anew.
const RENEWAL: u64 = 2;

/// Makes an owner's key, unless it is there, and prints how clients and hosts name its owner.
pub fn key(path: &Path) -> Result<(), Failure> {
    if !path.exists() {
        let text = secret_file::random(KEY_PREFIX).map_err(|e| unusable("key", path, &e))?;
        secret_file::create(path, &text).map_err(|e| unusable("key", path, &e))?;
    }
    let owner = read_key(path)?.public_key().as_ref().try_into().unwrap_or([0; 32]);
    let owner = Account { key: owner, ..Account::default() }.owner();
    say(&format!("{}\n", hex::encode(owner)));
    Ok(())
}

/// Seals the account to the enclave that answers now.
pub async fn seal(args: &AccountSealArgs) -> Result<(), Failure> {
    let (router, accepting) = way(args)?;
    let believed = accepting.believe(&router).await?;
    let owner = Owner::of(args, router, believed.trust)?;
    let session = owner.client.session(&owner.virtual_key).await?;
    owner.provision(&session).await
}

/// Seals the account again whenever another enclave answers, and before a record ends.
pub async fn serve(args: &AccountServeArgs) -> Result<(), Failure> {
    let mut stop = std::pin::pin!(stopped()?);
    let (router, accepting) = way(&args.seal)?;
    let believed = tokio::select! {
        believed = accepting.believe_patiently(&router) => believed?,
        () = &mut stop => return Ok(()),
    };
    let owner = Owner::of(&args.seal, router, believed.trust.clone())?;
    let teller = Teller::default();
    let every = Duration::from_secs(args.releases_every);
    let told = |followed: &Followed| teller.tell(followed);
    tokio::select! {
        sealing = owner.keep_sealed(Duration::from_secs(args.every)) => sealing,
        () = believed.follow(&owner.client, every, told) => Ok(()),
        () = &mut stop => Ok(()),
    }
}

/// Where the enclave is asked for, and which one may have the account.
fn way(args: &AccountSealArgs) -> Result<(Router, Accepting), Failure> {
    let anchor = args
        .dangerous_development_root
        .map_or_else(TrustAnchor::aws_nitro, TrustAnchor::dangerous_development_root);
    let roots = args.router_ca.as_deref().map_or(OuterRoots::Web, OuterRoots::File);
    Ok((Router::new(&args.router, roots)?, Accepting::of(&args.accepting, anchor)?))
}

/// An owner with one account and the way to a router.
struct Owner {
    client: Client,
    virtual_key: VirtualKey,
    key: Ed25519KeyPair,
    provider: Label,
    number: u32,
    credential: Secret,
    life: Duration,
}

impl Owner {
    fn of(args: &AccountSealArgs, router: Router, trust: Trust) -> Result<Self, Failure> {
        let config = Config { router, trust, custodies: Custodies::CLIENT };
        let text =
            |what, path: &Path| secret_file::read(path).map_err(|e| unusable(what, path, &e));
        let credential = text("credential", &args.credential_file)?;
        let provider = Label::new(args.provider.as_bytes());
        if provider.as_str() != args.provider || args.number == 0 || credential.is_empty() {
            return Err(Failure::usage(
                "the account is malformed; give --provider as the authority of the provider table, \
                 --number from 1, and a credential that is not empty",
            ));
        }
        Ok(Self {
            client: Client::new(config),
            virtual_key: VirtualKey::new(&text("virtual key", &args.key_file)?)?,
            key: read_key(&args.owner_key)?,
            provider,
            number: args.number,
            credential: Secret(credential.as_bytes().to_vec()),
            life: Duration::from_secs(u64::from(args.days) * 86_400),
        })
    }

    /// Seals the account whenever another enclave answers, or the record is in its second half.
    async fn keep_sealed(&self, every: Duration) -> Result<(), Failure> {
        let (mut served, mut until) = (Vec::new(), UNIX_EPOCH);
        loop {
            match self.client.session(&self.virtual_key).await {
                Err(error) if error.is_away() => eprintln!("aegis: {error}"),
                Err(error) => return Err(Failure::refused(error)),
                Ok(session) => {
                    let spki = &session.attested().transcript().spki;
                    if *spki != served || SystemTime::now() >= until {
                        self.provision(&session).await?;
                        served.clone_from(spki);
                        until = SystemTime::now() + self.life / RENEWAL as u32;
                    }
                }
            }
            sleep(every).await;
        }
    }

    /// Seals the account to the enclave of a verified session, and sends it there.
    async fn provision(&self, session: &Arc<Session>) -> Result<(), Failure> {
        let expires = SystemTime::now() + self.life;
        let account = Account {
            key: self.key.public_key().as_ref().try_into().unwrap_or([0; 32]),
            provider: self.provider.clone(),
            number: self.number,
            expires_s: expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            enclave: account::enclave(&session.attested().transcript().spki),
            credential: self.credential.clone(),
        };
        let sealed = seal_with(&self.key, &account)
            .ok_or_else(|| Failure::usage("the credential is no header value; give it bare"))?;
        session.provision(sealed).await.map_err(Failure::refused)?;
        let owner = hex::encode(account.owner());
        let release = session.attested().release();
        let (provider, number) = (self.provider.as_str(), self.number);
        say(&format!(
            "sealed account {number} of {provider}, owner {owner}, to release {release}\n"
        ));
        Ok(())
    }
}

/// The record with its owner's signature.
fn seal_with(key: &Ed25519KeyPair, account: &Account) -> Option<Vec<u8>> {
    let signature = key.sign(&account.to_be_signed().ok()?);
    account.sealed(signature.as_ref().try_into().ok()?).ok()
}

fn read_key(path: &Path) -> Result<Ed25519KeyPair, Failure> {
    let text = secret_file::read(path).map_err(|e| unusable("owner's key", path, &e))?;
    let digits = text.strip_prefix(KEY_PREFIX).unwrap_or_default();
    let seed = Zeroizing::new(hex::decode(digits).unwrap_or_default());
    Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| {
        let path = path.display();
        Failure::usage(format!("{path} holds no owner's key; make one with aegis account key FILE"))
    })
}

fn unusable(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    Failure::environment(format!("cannot use the {what} file {path}: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("owner.key");
        key(&path).unwrap();
        let first = fs::read(&path).unwrap();
        key(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        assert!(read_key(&path).is_ok());
        secret_file::create(&folder.path().join("other"), "sk-made-up").unwrap();
        assert!(read_key(&folder.path().join("other")).is_err());
    }
}
