//! A Rust file as the compiler's lexer sees it, with line numbers.
//!
//! Comments and doc comments are no tokens, text inside strings is one, and what a macro is
//! defined by or called with is tokens like all others: so a count of lines that hold a token
//! cannot be misled by how something is written. What is *not* done here: no macro is expanded and
//! no condition but `test` is evaluated.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, LineColumn, Span, TokenStream, TokenTree};

/// A token of production code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// As written; of a group only its delimiters.
    pub text: String,
    /// First line, from 1.
    pub first: usize,
    /// Last line: not the first for strings over several lines.
    pub last: usize,
}

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of `fn`.
    pub first: usize,
    /// The line that closes the body.
    pub last: usize,
}

/// A lexed file.
#[derive(Debug)]
pub struct Source {
    tokens: Vec<TokenTree>,
}

/// What is left of a file when its tests are taken out.
#[derive(Debug, Default)]
pub struct Production {
    /// The tokens in order.
    pub tokens: Vec<Token>,
    /// Modules of other files that exist only for tests, as paths below this file's module.
    pub test_modules: Vec<Vec<String>>,
}

impl Source {
    /// Lexes a file; the error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let stream: TokenStream = text.parse().map_err(|e: proc_macro2::LexError| {
            format!("line {}: not Rust tokens", e.span().start().line)
        })?;
        let tokens = stream.into_iter().collect();
        Ok(Self { tokens })
    }

    /// Everything but tests and doc comments.
    pub fn production(&self) -> Production {
        let mut production = Production::default();
        production.level(&self.tokens, &mut Vec::new());
        production
    }

    /// Every function with a body, nested ones and those in macros too.
    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        functions(&self.tokens, &mut found);
        found
    }
}

impl Production {
    /// The lines that hold a token.
    pub fn lines(&self) -> BTreeSet<usize> {
        let spans = self.tokens.iter().map(|token| token.first..=token.last);
        spans.flatten().collect()
    }

    /// The first line where these tokens stand in a row.
    pub fn find(&self, wanted: &[&str]) -> Option<usize> {
        self.rows(wanted).next().map(|row| row[0].first)
    }

    /// How often these tokens stand in a row.
    pub fn count(&self, wanted: &[&str]) -> usize {
        self.rows(wanted).count()
    }

    fn rows<'a>(&'a self, wanted: &'a [&str]) -> impl Iterator<Item = &'a [Token]> {
        let windows = self.tokens.windows(wanted.len());
        windows.filter(|row| {
            let row = row.iter().map(|token| token.text.as_str());
            row.eq(wanted.iter().copied())
        })
    }

    /// One level of nesting: a file, or the inside of one group.
    fn level(&mut self, tokens: &[TokenTree], module: &mut Vec<String>) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if let Some(attribute) = Attribute::at(&tokens[at..]) {
                if attribute.inner && attribute.is_test() {
                    return;
                }
                if let Some(test) = TestItem::at(&tokens[at..]) {
                    self.test_modules.extend(test.module_file(module));
                    at += test.len;
                    continue;
                }
                if attribute.is_doc_comment() {
                    at += attribute.len;
                    continue;
                }
            }
            self.token(token, module_name(&tokens[..at]), module);
            at += 1;
        }
    }

    fn token(&mut self, token: &TokenTree, name: Option<String>, module: &mut Vec<String>) {
        let TokenTree::Group(group) = token else {
            return self.push(token.to_string(), token.span());
        };
        let (open, close) = delimiters(group);
        self.push(open.into(), group.span_open());
        let depth = module.len();
        module.extend(name);
        let inside: Vec<_> = group.stream().into_iter().collect();
        self.level(&inside, module);
        module.truncate(depth);
        self.push(close.into(), group.span_close());
    }

    fn push(&mut self, text: String, span: Span) {
        let (first, last) = (span.start().line, span.end().line);
        if !text.is_empty() {
            self.tokens.push(Token { text, first, last });
        }
    }
}

/// `#[...]` or `#![...]`
struct Attribute<'a> {
    group: &'a Group,
    at: LineColumn,
    inner: bool,
    len: usize,
}

impl<'a> Attribute<'a> {
    fn at(tokens: &'a [TokenTree]) -> Option<Self> {
        let hash = tokens.first().filter(|token| is_punct(token, '#'))?;
        let inner = tokens.get(1).is_some_and(|token| is_punct(token, '!'));
        let len = if inner { 3 } else { 2 };
        let Some(TokenTree::Group(group)) = tokens.get(len - 1) else {
            return None;
        };
        let at = hash.span().start();
        let bracket = group.delimiter() == Delimiter::Bracket;
        bracket.then_some(Self { group, at, inner, len })
    }

    /// The lexer turns `/// text` into an attribute whose parts all stand where the comment does.
    fn is_doc_comment(&self) -> bool {
        self.group.span_open().start() == self.at
    }

    /// `test`, `name::test` or a `cfg` that can only hold in tests.
    fn is_test(&self) -> bool {
        let tokens: Vec<_> = self.group.stream().into_iter().collect();
        match tokens.as_slice() {
            [TokenTree::Ident(cfg), TokenTree::Group(predicate)] if cfg == "cfg" => {
                only_in_tests(&predicate.stream().into_iter().collect::<Vec<_>>())
            }
            [.., TokenTree::Ident(last)] => last == "test",
            [.., TokenTree::Ident(last), TokenTree::Group(_)] => last == "test",
            _ => false,
        }
    }
}

/// Whether a `cfg` predicate holds only when `test` does: `test`, or `all(...)` with such a part.
fn only_in_tests(predicate: &[TokenTree]) -> bool {
    match predicate {
        [TokenTree::Ident(word)] => word == "test",
        [TokenTree::Ident(all), TokenTree::Group(parts)] if all == "all" => {
            let parts: Vec<_> = parts.stream().into_iter().collect();
            parts.split(|token| is_punct(token, ',')).any(only_in_tests)
        }
        _ => false,
    }
}

/// An item that exists only for tests, from its first attribute to its end.
struct TestItem {
    len: usize,
    outside: Option<String>,
}

impl TestItem {
    /// `None` for anything that is not surely a whole item: then it counts as production.
    fn at(tokens: &[TokenTree]) -> Option<Self> {
        let (mut at, mut test) = (0, false);
        while let Some(attribute) = Attribute::at(&tokens[at..]) {
            test |= !attribute.inner && attribute.is_test();
            at += attribute.len;
        }
        if !test {
            return None;
        }
        let mut rest = tokens[at..].iter().enumerate().peekable();
        rest.next_if(|(_, token)| is_ident(token, &["pub"]))
            .and_then(|_| rest.next_if(|(_, token)| matches!(token, TokenTree::Group(_))));
        let (_, keyword) = rest.next()?;
        let braces_end = match keyword {
            TokenTree::Ident(word) if word == "const" => {
                is_ident(rest.peek()?.1, &["fn", "unsafe", "async", "extern"])
            }
            _ if is_ident(keyword, &["use", "static", "type"]) => false,
            _ if is_ident(keyword, BRACED) => true,
            _ => return None,
        };
        let name = rest.peek().map(|(_, token)| token.to_string());
        let (end, last) = rest.find(|(_, token)| {
            is_punct(token, ';') || (braces_end && matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace))
        })?;
        let outside = is_ident(keyword, &["mod"]) && is_punct(last, ';');
        Some(Self { len: at + end + 1, outside: name.filter(|_| outside) })
    }

    fn module_file(&self, module: &[String]) -> Option<Vec<String>> {
        let name = self.outside.clone()?;
        Some(module.iter().cloned().chain([name]).collect())
    }
}

/// Items that end with braces, or with a semicolon when they have none.
const BRACED: &[&str] = &[
    "mod",
    "fn",
    "struct",
    "enum",
    "union",
    "trait",
    "impl",
    "unsafe",
    "async",
    "extern",
    "macro_rules",
];

fn functions(tokens: &[TokenTree], found: &mut Vec<Function>) {
    for (at, token) in tokens.iter().enumerate() {
        if is_ident(token, &["fn"]) {
            found.extend(function(token, &tokens[at + 1..]));
        }
        if let TokenTree::Group(group) = token {
            let inside: Vec<_> = group.stream().into_iter().collect();
            functions(&inside, found);
        }
    }
}

/// The function whose `fn` is given and whose name comes next; `None` for the type of a function
/// pointer and for a declaration without a body.
fn function(keyword: &TokenTree, rest: &[TokenTree]) -> Option<Function> {
    let in_macro = rest.first().is_some_and(|token| is_punct(token, '$'));
    let rest = &rest[usize::from(in_macro)..];
    let Some(TokenTree::Ident(name)) = rest.first() else {
        return None;
    };
    let end = rest.iter().find(|token| {
        let braces = matches!(token, TokenTree::Group(g) if g.delimiter() == Delimiter::Brace);
        braces || is_punct(token, ';')
    })?;
    let TokenTree::Group(body) = end else {
        return None;
    };
    Some(Function {
        name: name.to_string(),
        first: keyword.span().start().line,
        last: body.span_close().end().line,
    })
}

/// The name of the module whose body comes after these tokens.
fn module_name(before: &[TokenTree]) -> Option<String> {
    match before {
        [.., TokenTree::Ident(keyword), TokenTree::Ident(name)] if keyword == "mod" => {
            Some(name.to_string())
        }
        _ => None,
    }
}

fn delimiters(group: &Group) -> (&'static str, &'static str) {
    match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_ident(token: &TokenTree, wanted: &[&str]) -> bool {
    matches!(token, TokenTree::Ident(ident) if wanted.iter().any(|word| ident == word))
}

#[cfg(test)]
mod tests;
