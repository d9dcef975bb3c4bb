//! The meaning of each entry.

use std::{collections::HashSet, path::Path};

use aegis_wire::{
    account::Owner,
    control::{Class, Custody},
    limits,
    session::VIRTUAL_KEY_PREFIX,
};

use super::{ConfigError, Enclave, error, file};
use crate::{
    accounts::{Account, Accounts},
    keys::{Key, Keys},
    legs::Place,
    providers::{PRODUCTION_TABLE, Providers},
    secret::Secret,
};

pub(super) fn providers(table: Option<&Path>, folder: &Path) -> Result<Providers, ConfigError> {
    let text = match table {
        Some(path) => error::read(&folder.join(path))?,
        None => PRODUCTION_TABLE.to_owned(),
    };
    let next = "give the file that the enclave image was built with";
    Providers::parse(&text).map_err(|rule| ConfigError::entry("table", rule.to_string(), next))
}

pub(super) fn dials(dials: Vec<file::Dial>, providers: &mut Providers) -> Result<(), ConfigError> {
    for file::Dial { provider, address } in dials {
        let entry = format!("[[dial]] {}", shown(&provider));
        let index = index_of(&entry, &provider, providers)?;
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            let next = "write HOST:PORT";
            return Err(ConfigError::entry(entry, "the address has no port", next));
        }
        providers.redirect(index, address);
    }
    Ok(())
}

pub(super) fn custodies(words: Option<Vec<String>>) -> Result<Vec<Custody>, ConfigError> {
    let Some(words) = words else {
        return Ok(Custody::ALL.into());
    };
    let next = "write some of \"client\", \"sealed\", \"host\"";
    if words.is_empty() {
        return Err(ConfigError::entry("custodies", "it names none, so nothing is served", next));
    }
    let custody = |word: &String| {
        Custody::from_word(word).ok_or_else(|| {
            ConfigError::entry("custodies", format!("{} is none", shown(word)), next)
        })
    };
    words.iter().map(custody).collect()
}

pub(super) fn enclaves(
    list: Vec<file::Enclave>,
    folder: &Path,
) -> Result<Vec<Enclave>, ConfigError> {
    let mut enclaves: Vec<Enclave> = Vec::new();
    for enclave in list {
        let entry = named("[[enclave]]", &enclave.name)?;
        let place = match (enclave.unix, enclave.vsock_cid, enclave.vhost) {
            (Some(path), None, None) => Place::Unix(folder.join(path)),
            (None, Some(cid), None) => Place::Vsock(cid),
            (None, None, Some(path)) => Place::Vhost(folder.join(path)),
            _ => {
                let reason = "it needs exactly one of unix, vsock_cid and vhost";
                return Err(ConfigError::entry(entry, reason, "keep one of them"));
            }
        };
        let twice = |other: &Enclave| other.name == enclave.name || other.place == place;
        if enclaves.iter().any(twice) {
            let reason = "its name or its place is given twice";
            return Err(ConfigError::entry(entry, reason, "give each enclave its own"));
        }
        enclaves.push(Enclave { name: enclave.name, release: enclave.release, place });
    }
    if enclaves.is_empty() {
        let next = "add one with name, release and unix, vsock_cid or vhost";
        return Err(ConfigError::entry("[[enclave]]", "there is none", next));
    }
    Ok(enclaves)
}

pub(super) fn keys(list: Vec<file::Key>, providers: &Providers) -> Result<Keys, ConfigError> {
    let mut seen = (HashSet::new(), HashSet::new());
    let mut keys = Vec::new();
    for key in list {
        let entry = named("[[key]]", &key.name)?;
        named(&format!("{entry} tenant"), &key.tenant)?;
        let digest = digest(&entry, &key.sha256)?;
        if !seen.0.insert(key.name.clone()) || !seen.1.insert(digest) {
            let reason = "its name or its sha256 is given twice";
            return Err(ConfigError::entry(entry, reason, "remove one of the two"));
        }
        let indexes = |names: Vec<String>| -> Result<Vec<u16>, ConfigError> {
            names.iter().map(|name| index_of(&entry, name, providers)).collect()
        };
        let providers = key.providers.map(indexes).transpose()?;
        keys.push(Key {
            classes: key.classes.map(|words| classes(&entry, &words)).transpose()?,
            name: key.name,
            tenant: key.tenant,
            digest,
            providers,
            requests_per_minute: key.requests_per_minute.map(Into::into),
        });
    }
    Ok(Keys(keys))
}

fn digest(entry: &str, text: &str) -> Result<[u8; 32], ConfigError> {
    let mut digest = [0; 32];
    // The text is not repeated: it may be the key itself, put here by mistake.
    hex::decode_to_slice(text, &mut digest).map_err(|_| {
        let next = "write the output of: printf %s \"$KEY\" | sha256sum";
        ConfigError::entry(entry, "its sha256 is not 64 hexadecimal digits", next)
    })?;
    Ok(digest)
}

fn classes(entry: &str, words: &[String]) -> Result<Vec<Class>, ConfigError> {
    let class = |word: &String| {
        Class::from_word(word).ok_or_else(|| {
            let known: Vec<_> = Class::ALL.iter().map(|class| class.word()).collect();
            let reason = format!("class {} is none of {}", shown(word), known.join(", "));
            ConfigError::entry(entry, reason, "use one of these words")
        })
    };
    words.iter().map(class).collect()
}

pub(super) fn accounts(
    list: Vec<file::Account>,
    providers: &Providers,
    folder: &Path,
) -> Result<Accounts, ConfigError> {
    let mut numbers = HashSet::new();
    let mut accounts = Vec::new();
    for account in list {
        let entry = format!("[[account]] {}", account.number);
        if !numbers.insert(account.number) {
            let reason = "its number is given twice";
            return Err(ConfigError::entry(entry, reason, "give each account its own"));
        }
        let (number, owner) = (account.number.get(), owner(&entry, &account)?);
        accounts.push(Account {
            number,
            provider: index_of(&entry, &account.provider, providers)?,
            credential: match owner {
                Some(_) => Secret::new(String::new()),
                None => credential(&entry, account, folder)?,
            },
            owner,
        });
    }
    Ok(Accounts(accounts))
}

/// Who sealed the account; then the operator has no credential of it.
fn owner(entry: &str, account: &file::Account) -> Result<Option<Owner>, ConfigError> {
    let Some(text) = &account.owner else { return Ok(None) };
    let credential = account.credential.is_some()
        || account.credential_env.is_some()
        || account.credential_file.is_some();
    if credential {
        let reason = "it has an owner and a credential";
        return Err(ConfigError::entry(entry, reason, "keep one: an owner seals the credential"));
    }
    let mut owner = Owner::default();
    hex::decode_to_slice(text, &mut owner).map_err(|_| {
        let next = "write what aegis account key prints";
        ConfigError::entry(entry, "its owner is not 64 hexadecimal digits", next)
    })?;
    Ok(Some(owner))
}

fn credential(entry: &str, account: file::Account, folder: &Path) -> Result<Secret, ConfigError> {
    let wrong = |reason: String, next| Err(ConfigError::entry(entry, reason, next));
    let (env, path, inline) = (account.credential_env, account.credential_file, account.credential);
    let credential = match (env, path, inline) {
        (Some(name), None, None) => {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if !name.bytes().all(fits) {
                // Not repeated: it may be the credential itself, put here by mistake.
                let reason = "its credential_env is no name of a variable".into();
                return wrong(reason, "write the variable's name, not its value");
            }
            match std::env::var(&name) {
                Ok(content) => Secret::new(content),
                Err(_) => {
                    let reason = format!("the environment variable {name} is not set");
                    return wrong(reason, "export it, or use credential_file");
                }
            }
        }
        (None, Some(path), None) => {
            let mut content = error::read(&folder.join(path))?;
            content.truncate(content.trim_end_matches(['\r', '\n']).len());
            Secret::new(content)
        }
        (None, None, Some(inline)) => inline.0,
        _ => {
            let reason = "it needs exactly one of credential_env, credential_file and credential";
            return wrong(reason.into(), "keep one of them");
        }
    };
    let bytes = credential.expose();
    if bytes.is_empty() || bytes.len() > limits::CREDENTIAL_BYTES {
        let reason = format!("its credential has {} bytes", bytes.len());
        return wrong(reason, "give one of 1 to 4096 bytes");
    }
    if !bytes.iter().all(u8::is_ascii_graphic) {
        let reason = "its credential has a space, a line end or a byte beyond ASCII".into();
        return wrong(reason, "give the bare value as the provider issued it");
    }
    if bytes.starts_with(VIRTUAL_KEY_PREFIX.as_bytes()) {
        let reason = "its credential is a virtual key of a router".into();
        return wrong(reason, "give the provider's own key");
    }
    Ok(credential)
}

fn index_of(entry: &str, name: &str, providers: &Providers) -> Result<u16, ConfigError> {
    providers.index_of(name).ok_or_else(|| {
        let (name, names) = (shown(name), providers.names());
        let reason = format!("provider {name} is not in the table, which has {names}");
        ConfigError::entry(entry, reason, "use one of these names or give another table")
    })
}

/// Names stand in logs, events and the ledger: short, printable, in one word.
fn named(kind: &str, name: &str) -> Result<String, ConfigError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(format!("{kind} {name}"));
    }
    let reason = "a name has 1 to 64 characters of A-Z, a-z, 0-9, `.`, `_`, `@`, `-`";
    Err(ConfigError::entry(kind, reason, "choose such a name"))
}

/// A word of the file in a message, unless it is so long that it could be a secret.
fn shown(word: &str) -> String {
    match word.len() {
        0..=24 => format!("`{}`", word.escape_debug()),
        _ => "(a long word)".into(),
    }
}
