//! The host's view of the provider table: a name, an address to dial, and the digest by which an
//! enclave is recognised as having the same table.

use std::collections::BTreeMap;

use aegis_table::TableError;
use aegis_wire::table::{self, Envelope};

/// The table of the production image.
pub const PRODUCTION_TABLE: &str = include_str!("../../enclave/providers.table");

/// Providers by index.
#[derive(Debug, Clone)]
pub struct Providers {
    list: Vec<Provider>,
    digest: [u8; 32],
}

/// One row.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its name in the table.
    pub name: String,
    /// `HOST:PORT` to dial: the row's authority, unless the configuration overrides it.
    pub address: String,
    /// Whose conventions its figures follow.
    pub envelope: Envelope,
}

impl Providers {
    /// Reads a table's text.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let table = aegis_table::parse(text)?;
        Ok(Self { list: table.providers.iter().map(Provider::of).collect(), digest: table.digest })
    }

    /// The provider of that index.
    pub fn by_index(&self, index: u16) -> Option<&Provider> {
        self.list.get(usize::from(index))
    }

    /// The index of that name.
    pub fn index_of(&self, name: &str) -> Option<u16> {
        let at = self.list.iter().position(|row| row.name == name)?;
        u16::try_from(at).ok()
    }

    /// Dial that address for that provider.
    pub fn redirect(&mut self, index: u16, address: String) {
        if let Some(row) = self.list.get_mut(usize::from(index)) {
            row.address = address;
        }
    }

    /// SHA-256 of the table's bytes.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whose conventions each provider's figures follow, by name.
    pub fn envelopes(&self) -> BTreeMap<String, Envelope> {
        self.list.iter().map(|row| (row.name.clone(), row.envelope)).collect()
    }

    /// The name of that index.
    pub fn name_of(&self, index: u16) -> &str {
        self.by_index(index).map_or("", |row| row.name.as_str())
    }

    /// All names, for messages.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.list.iter().map(|row| row.name.as_str()).collect();
        names.join(", ")
    }
}

impl Provider {
    fn of(row: &table::Provider) -> Self {
        let address = match row.authority.contains(':') {
            true => row.authority.to_owned(),
            false => format!("{}:443", row.authority),
        };
        let name = row.name.to_owned();
        Self { name, address, envelope: row.envelope }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{PRODUCTION_TABLE, Providers};

    #[test]
    fn the_production_table_is_dialled_at_port_443() {
        let mut providers = Providers::parse(PRODUCTION_TABLE).unwrap();
        let openai = providers.index_of("openai").unwrap();
        let address = |providers: &Providers| providers.by_index(openai).unwrap().address.clone();
        assert_eq!(address(&providers), "api.openai.com:443");
        providers.redirect(openai, "127.0.0.1:9".into());
        assert_eq!(address(&providers), "127.0.0.1:9");
        assert!(providers.by_index(999).is_none());
    }
}
