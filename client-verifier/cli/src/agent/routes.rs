//! Which prefix means which provider. The rows come from a provider table, the same data that the
//! enclave measures; the enclave decides what it serves, this only finds the name to ask for.

use aegis_releases::Release;
use aegis_wire::table::{Envelope, Table};
use aws_lc_rs::digest::{SHA256, digest};

/// The rows of the production image.
pub const PRODUCTION_TABLE: &str = include_str!("../../../../enclave/providers.table");

/// A prefix and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `/openai`
    pub prefix: String,
    /// `api.openai.com`
    pub authority: String,
    /// Shape of error bodies.
    pub envelope: Envelope,
}

/// One route for each prefix.
#[derive(Debug, Clone)]
pub struct Routes {
    routes: Vec<Route>,
    table_sha256: [u8; 32],
}

/// A table or an override that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The table.
    #[error("{0}; take the one of the image you accept")]
    Table(#[from] aegis_table::TableError),
    /// `--route` without `=`.
    #[error("the route {0:?} is malformed; write PREFIX=AUTHORITY, as openai=api.openai.com")]
    Override(String),
    /// `--route` to something that the table does not have under this prefix.
    #[error("the provider table has no row for {prefix} at {authority}; choose one of: {known}")]
    NoRow {
        /// As given.
        prefix: String,
        /// As given.
        authority: String,
        /// What the table has.
        known: String,
    },
}

impl Routes {
    /// The routes of a table: the first row of each prefix, unless an override
    /// (`openai=openai.mock.aegis.test`) names another.
    pub fn new(table: &str, overrides: &[String]) -> Result<Self, RouteError> {
        let mut table_sha256 = [0; 32];
        table_sha256.copy_from_slice(digest(&SHA256, table.as_bytes()).as_ref());
        let table = aegis_table::parse(table)?;
        let mut routes: Vec<Route> = Vec::new();
        for provider in table.providers {
            if routes.iter().all(|route| route.prefix != provider.prefix) {
                routes.push(Route {
                    prefix: provider.prefix.to_owned(),
                    authority: provider.authority.to_owned(),
                    envelope: provider.envelope,
                });
            }
        }
        let mut routes = Self { routes, table_sha256 };
        for given in overrides {
            routes.choose(table, given)?;
        }
        Ok(routes)
    }

    fn choose(&mut self, table: &Table, given: &str) -> Result<(), RouteError> {
        let Some((name, authority)) = given.split_once('=') else {
            return Err(RouteError::Override(given.to_owned()));
        };
        let prefix = format!("/{}", name.trim_start_matches('/'));
        let rows = || table.providers.iter().filter(|p| p.prefix == prefix);
        let row = rows().find(|p| p.authority == authority);
        let chosen = self.routes.iter_mut().find(|route| route.prefix == prefix);
        let (Some(row), Some(chosen)) = (row, chosen) else {
            return Err(RouteError::NoRow {
                prefix,
                authority: authority.to_owned(),
                known: table
                    .providers
                    .iter()
                    .map(|p| format!("{}={}", p.prefix.trim_start_matches('/'), p.authority))
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        };
        chosen.authority = row.authority.to_owned();
        chosen.envelope = row.envelope;
        Ok(())
    }

    /// The route of a request's path, and the path that the provider is asked for.
    pub fn find<'p>(&self, path: &'p str) -> Option<(&Route, &'p str)> {
        self.routes.iter().find_map(|route| {
            let rest = path.strip_prefix(&route.prefix)?;
            match rest.bytes().next() {
                None | Some(b'?') => Some((route, rest)),
                Some(b'/') => Some((route, rest)),
                Some(_) => None,
            }
        })
    }

    /// The route that leads to this authority.
    pub fn to_authority(&self, authority: &str) -> Option<&Route> {
        let authority = authority.strip_suffix(":443").unwrap_or(authority);
        self.routes.iter().find(|route| route.authority.eq_ignore_ascii_case(authority))
    }

    /// What to say if releases have another provider table than the one these routes are from.
    ///
    /// Not a refusal: the table that decides is measured, so PCR2 stands for it, and an authority that
    /// it does not have is refused in the enclave. But the user should not wonder why.
    pub fn unlike<'a>(&self, releases: impl Iterator<Item = &'a Release>) -> Option<String> {
        let other = |release: &&Release| {
            release.provider_table.is_some_and(|sha256| sha256 != self.table_sha256)
        };
        let numbers: Vec<_> =
            releases.filter(other).map(|release| release.number.to_string()).collect();
        let numbers = (!numbers.is_empty()).then(|| numbers.join(", "))?;
        Some(format!(
            "the provider table of release {numbers} is not this agent's: a provider that only one of them has \
             is refused; give the release's own with --table FILE"
        ))
    }

    /// All of them, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }
}

impl Route {
    /// What an SDK appends its paths to: some expect the version in the base URL.
    pub fn base_path(&self) -> String {
        let version = match self.prefix.as_str() {
            "/openai" | "/xai" | "/together" => "/v1",
            "/openrouter" => "/api/v1",
            "/groq" => "/openai/v1",
            "/fireworks" => "/inference/v1",
            bedrock if bedrock.starts_with("/bedrock-") => "/v1",
            _ => "",
        };
        format!("{}{version}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MOCK: &str = include_str!("../../../../enclave/dev/mock.table");

    #[test]
    fn production_rows_have_the_base_urls_of_the_sdks() {
        let routes = Routes::new(PRODUCTION_TABLE, &[]).unwrap();
        let bases: Vec<_> = routes.iter().map(Route::base_path).collect();
        let expected = [
            "/openai/v1",
            "/anthropic",
            "/gemini",
            "/openrouter/api/v1",
            "/mistral",
            "/xai/v1",
            "/deepseek",
            "/groq/openai/v1",
            "/together/v1",
            "/fireworks/inference/v1",
            "/bedrock-us-east-1/v1",
        ];
        assert_eq!(bases[..expected.len()], expected);
    }

    #[test]
    fn a_release_with_another_table_is_named() {
        let release = |number, provider_table| Release {
            number,
            version: "1".to_owned(),
            commit: None,
            pcrs: [[1; 48]; 3],
            provider_table,
        };
        let routes = Routes::new(PRODUCTION_TABLE, &[]).unwrap();
        let own = digest(&SHA256, PRODUCTION_TABLE.as_bytes()).as_ref().try_into().ok();
        let same = [release(7, own), release(8, None)];
        assert_eq!(routes.unlike(same.iter()), None);
        let other = [release(7, own), release(9, Some([9; 32]))];
        assert!(routes.unlike(other.iter()).unwrap().contains("table of release 9 is not"));
    }

    #[test]
    fn the_rest_of_the_path_stays_as_it_is() {
        let routes = Routes::new(PRODUCTION_TABLE, &[]).unwrap();
        let find = |path| routes.find(path).map(|(r, rest)| (r.authority.clone(), rest));
        let openai = "api.openai.com".to_owned();
        assert_eq!(find("/openai/v1/models"), Some((openai.clone(), "/v1/models")));
        assert_eq!(find("/openai//v1%2F"), Some((openai.clone(), "//v1%2F")));
        assert_eq!(find("/openai"), Some((openai, "")));
        assert_eq!(find("/openaix/v1"), None);
        assert_eq!(find("/OpenAI/v1"), None);
        assert_eq!(find("/"), None);
    }

    #[test]
    fn an_override_picks_another_row_of_the_prefix() {
        let table = format!("{PRODUCTION_TABLE}\n{MOCK}");
        let given = ["openai=openai.mock.aegis.test".to_owned()];
        let routes = Routes::new(&table, &given).unwrap();
        let (route, _) = routes.find("/openai/v1").unwrap();
        assert_eq!(route.authority, "openai.mock.aegis.test");
        assert!(routes.to_authority("api.openai.com").is_none());
        assert!(routes.to_authority("API.anthropic.com:443").is_some());
    }

    #[test]
    fn an_override_to_no_row_is_refused() {
        for given in ["openai", "openai=evil.example", "nobody=api.openai.com"] {
            assert!(Routes::new(PRODUCTION_TABLE, &[given.to_owned()]).is_err());
        }
    }
}
