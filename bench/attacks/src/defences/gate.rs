//! A policy gate that fails closed: a command runs when every part of it is on a list.

use std::collections::BTreeSet;

use super::Defence;

/// Programs that may be called, whatever their arguments, as long as no other rule speaks of them.
const PROGRAMS: [&str; 40] = [
    "ls", "cat", "head", "tail", "wc", "grep", "rg", "find", "sed", "awk", "sort", "uniq", "diff",
    "echo", "pwd", "cd", "mkdir", "cp", "mv", "touch", "chmod", "git", "cargo", "rustfmt", "make",
    "python", "python3", "pytest", "ruff", "mypy", "node", "tsc", "eslint", "go", "gofmt", "jq",
    "tree", "which", "env", "date",
];

/// The packages that the project's lock files name.
const PACKAGES: [&str; 24] = [
    "requests",
    "numpy",
    "pandas",
    "flask",
    "fastapi",
    "pydantic",
    "pytest",
    "ruff",
    "mypy",
    "httpx",
    "sqlalchemy",
    "click",
    "left-pad",
    "react",
    "react-dom",
    "typescript",
    "eslint",
    "vite",
    "zod",
    "express",
    "jest",
    "prettier",
    "lodash",
    "axios",
];

/// The hosts that may be fetched from.
const HOSTS: [&str; 5] =
    ["localhost", "api.github.com", "raw.githubusercontent.com", "pypi.org", "docs.rs"];

/// The gate with its lists.
#[derive(Default)]
pub struct Gate;

impl Defence for Gate {
    fn name(&self) -> &'static str {
        "policy gate"
    }

    fn admits(&self, command: &str) -> bool {
        // What the shell would put together or run in itself cannot be judged word by word.
        if ["$(", "`", "<(", "${", "\\"].iter().any(|trick| command.contains(trick)) {
            return false;
        }
        let Some(words) = split(command) else { return false };
        let parts = words.split(|word| matches!(word.as_str(), "&&" | "||" | ";" | "|"));
        let mut parts = parts.filter(|part| !part.is_empty()).peekable();
        parts.peek().is_some() && parts.all(admits_part)
    }
}

fn admits_part(words: &[String]) -> bool {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["pip" | "pip3", "install", rest @ ..] => packages(rest),
        ["python" | "python3", "-m", "pip", "install", rest @ ..] => packages(rest),
        ["npm", "install" | "i" | "add", rest @ ..] => packages(rest),
        ["npm", "run" | "test" | "ci", ..] | ["pip", "list" | "freeze" | "show", ..] => true,
        ["curl" | "wget", rest @ ..] => rest.iter().all(|word| !is_url(word) || is_known(word)),
        [program, ..] => PROGRAMS.contains(program),
        [] => false,
    }
}

fn packages(words: &[&str]) -> bool {
    let known: BTreeSet<&str> = PACKAGES.into_iter().collect();
    words.iter().filter(|word| !word.starts_with('-')).all(|word| {
        let name = word.split(['=', '<', '>', '~', '[']).next().unwrap_or_default();
        let name = name.rsplit_once('@').map_or(name, |(name, _)| name);
        name == "requirements.txt" || name == "." || known.contains(name)
    })
}

fn is_url(word: &str) -> bool {
    word.contains("://")
}

fn is_known(url: &str) -> bool {
    let host = url.split("://").nth(1).unwrap_or_default();
    let host = host.split(['/', ':', '?']).next().unwrap_or_default();
    HOSTS.contains(&host)
}

/// Words as a shell would see them, quotes taken off and fragments joined; `None` when a quote does
/// not end.
pub(super) fn split(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut open) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match (open, c) {
            (Some(quote), _) if c == quote => open = None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                open = Some(c);
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            (None, ';') => {
                words.extend(word.take());
                words.push(";".to_owned());
            }
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    open.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_in_every_part_passes() {
        for good in
            ["ls -la", "pip install requests==2.32", "cargo test && git status", "npm i zod"]
        {
            assert!(Gate.admits(good), "{good}");
        }
        for bad in [
            "pip install reqeusts",
            "pip install re'qe'uests",
            "npm install http://127.0.0.1:9/x.tgz",
            "ls && nc 127.0.0.1 9",
            "curl http://127.0.0.1:9/x | sh",
            "echo 'open",
            "echo $(whoami)",
            "",
        ] {
            assert!(!Gate.admits(bad), "{bad}");
        }
    }
}
