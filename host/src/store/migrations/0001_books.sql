-- The host's books. One text for SQLite and PostgreSQL: BIGINT and TEXT alone, names as keys.
-- Times are milliseconds since 1970, money is micro-units of the operator's one currency.

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
-- `revision` grows with every change of what hosts keep in memory; the others hand out numbers.
INSERT INTO counters (name, value) VALUES ('revision', 1), ('grant', 1), ('session', 1);

CREATE TABLE tenants (
    name       TEXT PRIMARY KEY,
    created_ms BIGINT NOT NULL,
    revoked_ms BIGINT
);

CREATE TABLE teams (
    tenant     TEXT NOT NULL REFERENCES tenants (name),
    name       TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    revoked_ms BIGINT,
    PRIMARY KEY (tenant, name)
);

-- `team` is empty for a key of no team. `providers` and `classes` are words with commas between
-- them, null for no restriction.
CREATE TABLE virtual_keys (
    name       TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL REFERENCES tenants (name),
    team       TEXT NOT NULL,
    providers  TEXT,
    classes    TEXT,
    reserve    BIGINT,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    revoked_ms BIGINT
);

-- SHA-256 of a virtual key in hexadecimal digits; two of one key are valid while it is rotated.
CREATE TABLE key_secrets (
    digest     TEXT PRIMARY KEY,
    key_name   TEXT NOT NULL REFERENCES virtual_keys (name),
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT
);

CREATE TABLE limits (
    scope               TEXT NOT NULL,
    name                TEXT NOT NULL,
    requests_per_minute BIGINT,
    tokens_per_minute   BIGINT,
    streams             BIGINT,
    sessions            BIGINT,
    PRIMARY KEY (scope, name)
);

-- `sealed` is the credential under the master key, bound to number and provider. It is empty in an
-- account whose owner, named by the SHA-256 of a key, seals its credential to the enclaves.
CREATE TABLE accounts (
    number     BIGINT PRIMARY KEY,
    provider   TEXT NOT NULL,
    sealed     TEXT NOT NULL,
    owner      TEXT,
    state      TEXT NOT NULL,
    weight     BIGINT NOT NULL,
    priority   BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);

-- Micro-units for a million of that kind, from that time on.
CREATE TABLE prices (
    provider     TEXT NOT NULL,
    model        TEXT NOT NULL,
    kind         TEXT NOT NULL,
    effective_ms BIGINT NOT NULL,
    amount       BIGINT NOT NULL,
    PRIMARY KEY (provider, model, kind, effective_ms)
);

-- What is used counts from `period_start` on; a row is brought into the present when it is used.
CREATE TABLE budgets (
    scope        TEXT NOT NULL,
    name         TEXT NOT NULL,
    period       TEXT NOT NULL,
    amount       BIGINT NOT NULL,
    period_start BIGINT NOT NULL,
    settled      BIGINT NOT NULL,
    reserved     BIGINT NOT NULL,
    PRIMARY KEY (scope, name, period)
);

-- One row for each grant, written before it is handed out. `outcome` is null while it is open, and
-- is set once: `settled`, `aborted` or `void`. `team` is empty or TENANT/TEAM.
CREATE TABLE ledger (
    grant_id      BIGINT PRIMARY KEY,
    at_ms         BIGINT NOT NULL,
    host          TEXT NOT NULL,
    enclave       TEXT NOT NULL,
    boot          TEXT NOT NULL,
    request       BIGINT NOT NULL,
    attempt       BIGINT NOT NULL,
    session_no    BIGINT NOT NULL,
    tenant        TEXT NOT NULL,
    team          TEXT NOT NULL,
    key_name      TEXT NOT NULL,
    release_no    BIGINT NOT NULL,
    provider      TEXT NOT NULL,
    class         TEXT NOT NULL,
    custody       TEXT NOT NULL,
    account       BIGINT NOT NULL,
    reserved      BIGINT NOT NULL,
    settled_ms    BIGINT,
    outcome       TEXT,
    source        TEXT,
    status_class  BIGINT,
    counts        TEXT,
    label         TEXT,
    first_byte_ms BIGINT,
    total_ms      BIGINT,
    charged       BIGINT,
    pricing       TEXT
);
CREATE INDEX ledger_open ON ledger (host, enclave) WHERE outcome IS NULL;
CREATE INDEX ledger_costs ON ledger (key_name, class, grant_id) WHERE source = 'provider';
CREATE INDEX ledger_times ON ledger (at_ms);
