-- A budget that is set in the middle of a period is summed from the ledger, which no host may write
-- to meanwhile. Reservations come from what requests cost in the operator's accounts alone.

CREATE INDEX ledger_tenant ON ledger (tenant, at_ms);
CREATE INDEX ledger_team ON ledger (team, at_ms);
CREATE INDEX ledger_key ON ledger (key_name, at_ms);
DROP INDEX ledger_costs;
CREATE INDEX ledger_costs ON ledger (key_name, class, grant_id)
    WHERE source = 'provider' AND custody = 'host';
