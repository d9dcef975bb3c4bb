#!/usr/bin/env python3
"""Attested release as Horn clauses, for two provers that know nothing of each other or of Coq.

`knows(t)` says that the adversary may come to know t: an over-approximation without time, in which
every event may happen again and again, in any number of sessions. So where nothing is derived, nothing
is known ("holds"); where a proof is found it is a candidate attack, and must be one that we expect.

One description (`rules`) gives the clauses of every variant; SPASS decides, E must agree where it
finishes. Usage: run.py FOLDER. The last line is `N hold, M attacks`.

What this says differently from formal/coq/Protocol.v: two clients and one instance stand for all of
their kind, with their names as terms; sessions are told apart by their key shares; an enclave's share
is a function of the share it answers. Compromise is chosen for each variant.
"""

import re
import subprocess
import sys
from pathlib import Path

# What the verifier and the protocol check; each variant takes some out.
CHECKS = {"handshake", "signature", "chain", "debug", "pcrs", "opening", "spki", "exporter",
          "public_key", "user_data"}

FUNCTIONS = {"pair": 2, "hash": 1, "sign": 2, "seal": 2, "pub": 1, "share": 1, "session": 3,
             "exporter": 2, "tls": 1, "enc": 2, "doc": 4, "cert": 1, "hellos": 2, "request": 1,
             "answer": 2, "nonce": 1, "receipt": 1, "other": 1}
CONSTANTS = ["root", "leaf", "alice", "bob", "old", "new", "good", "debug", "adv", "advkey",
             "opening", "ask", "reply", "fixed"]


def tuple_of(first, *rest):
    return f"pair({first},{tuple_of(*rest)})" if rest else first


def binding(nonce, spki, exporter):
    return f"hash({tuple_of(f'pair(opening,{nonce})', f'hash({spki})', exporter)})"


def adversary():
    """What anybody can compute (Dolev-Yao)."""
    yield "knows(pair(X,Y))", ["knows(X)", "knows(Y)"]
    yield "knows(X)", ["knows(pair(X,Y))"]
    yield "knows(Y)", ["knows(pair(X,Y))"]
    yield "knows(hash(X))", ["knows(X)"]
    yield "knows(sign(K,X))", ["knows(K)", "knows(X)"]
    yield "knows(X)", ["knows(sign(K,X))"]
    yield "knows(seal(S,X))", ["knows(S)", "knows(X)"]
    yield "knows(X)", ["knows(seal(S,X))", "knows(S)"]
    # The secret of a TLS session: whoever has either private share, with the public rest of it.
    yield "knows(session(X,Y,K))", ["knows(X)", "knows(share(Y))", "knows(pub(K))"]
    yield "knows(session(X,Y,K))", ["knows(Y)", "knows(share(X))", "knows(pub(K))"]
    yield "knows(share(X))", ["knows(X)"]
    yield "knows(exporter(S,X))", ["knows(S)", "knows(X)"]
    yield "knows(pub(K))", ["knows(K)"]
    yield "knows(hellos(X,Y))", ["knows(share(X))", "knows(share(Y))"]
    yield "knows(doc(M,K,U,N))", ["knows(M)", "knows(K)", "knows(U)", "knows(N)"]
    yield "knows(cert(K))", ["knows(K)"]
    for word in ["opening", "ask", "reply", "good", "debug", "fixed", "adv", "advkey", "pub(root)",
                 "pub(leaf)", "share(alice)", "share(bob)", "sign(root,cert(pub(leaf)))"]:
        yield f"knows({word})", []
    yield "knows(other(M))", ["knows(M)"]


def instance(name, alive):
    """An enclave of the accepted image: answers every ClientHello, opening and request."""
    key, mine = f"tls({name})", f"enc({name},X)"
    session = f"session(X,{mine},{key})"
    yield f"knows(pub({key}))", []
    yield f"knows(pub(receipt({name})))", []
    yield f"knows(share({mine}))", ["knows(share(X))"]
    yield f"knows(sign({key},hellos(X,{mine})))", ["knows(share(X))"]
    # An instance that was broken into answered openings before, none of which was a client's nonce.
    opened = "N" if alive else "fixed"
    about = [f"knows(seal({session},pair(opening,N)))" if alive else "knows(share(X))"]
    document = (f"doc(good,pub({key}),hash(pub(receipt({name}))),"
                f"{binding(opened, f'pub({key})', f'exporter({session},{opened})')})")
    yield f"knows(sign(leaf,{document}))", about
    if alive:
        asked = f"knows(seal({session},pair(ask,R)))"
        yield f"knows(seal({session},pair(reply,answer(R,{mine}))))", [asked]
    else:
        yield f"knows({key})", []


def other_images():
    """Documents under the same root for images of the adversary's, with fields of its choice."""
    fields = ["knows(P)", "knows(U)", "knows(N)"]
    yield "knows(sign(leaf,doc(other(M),P,U,N)))", ["knows(M)", *fields]
    yield "knows(sign(leaf,doc(debug,P,U,N)))", fields


def client(name, without, policy):
    """A client: handshake with whoever has share Y and key K, opening, evidence, request."""
    on = CHECKS - without
    session = f"session({name},Y,K)"
    met = ["knows(share(Y))", "knows(pub(K))"]
    if "handshake" in on:
        met.append(f"knows(sign(K,hellos({name},Y)))")
    yield f"knows(seal({session},pair(opening,nonce({name}))))", met
    measured = "good" if "pcrs" in on else "M"
    opened = f"pair(opening,nonce({name}))" if "opening" in on else "O"
    spki = "hash(pub(K))" if "spki" in on else "H"
    exported = f"exporter({session},nonce({name}))" if "exporter" in on else "E"
    nonce = f"hash({tuple_of(opened, spki, exported)})"
    public = "pub(K)" if "public_key" in on else "P"
    for measurement in [measured] + (["debug"] if policy and "debug" not in on else []):
        document = f"doc({measurement},{public},U,{nonce})"
        evidence = [f"knows(sign(L,{document}))" if "signature" in on else f"knows({document})"]
        if "chain" in on:
            evidence.append("knows(sign(root,cert(pub(L))))")
        yield f"knows(seal({session},pair(ask,request({name}))))", met + evidence
        # What the client takes as the answer, for the goals of agreement.
        yield "takes(A)" if name == "alice" else "takesbob(A)", \
            met + evidence + [f"knows(seal({session},pair(reply,A)))"]


def auditor(without):
    user = "hash(R)" if "user_data" not in without else "U"
    yield "believes(R)", [f"knows(sign(L,doc(good,P,{user},N)))",
                          "knows(sign(root,cert(pub(L))))", "knows(R)"]


def rules(without, stolen, broken, policy):
    yield from adversary()
    yield from instance("new", True)
    if broken:
        yield from instance("old", False)
    if stolen:
        yield "knows(tls(new))", []
    yield from other_images()
    yield from client("alice", without, policy)
    yield from client("bob", without, policy)
    yield from auditor(without)


# Goal, and what it would mean to derive it.
SECRET = "knows(request(alice))"
GOALS = {
    "request": SECRET,
    "answer": "knows(answer(request(alice),enc(new,alice)))",
    "forged-answer": "takes(adv)",
    "mixed-answer": "takes(answer(request(bob),Y))",
    "foreign-answer": "takes(answer(adv,Y))",
    "receipt-key": "believes(pub(advkey))",
}

# Variant: what is taken out, is the TLS key stolen, was an instance broken into, is the policy
# careless; the goals that must be derived, and all others must not.
EVERYTHING = ["request", "forged-answer"]
VARIANTS = {
    "shipped": (set(), False, False, False, []),
    "shipped-old": (set(), False, True, True, []),
    "shipped-stolen": (set(), True, True, True, []),
    "overlap": ({"handshake", "opening", "spki", "public_key"}, True, True, False, []),
    "no-signature": ({"signature"}, False, False, False, EVERYTHING),
    "no-chain": ({"chain"}, False, False, False, EVERYTHING),
    "no-pcrs": ({"pcrs"}, False, False, False, EVERYTHING),
    "no-debug": ({"debug"}, False, False, True, EVERYTHING),
    "no-exporter": ({"exporter"}, False, True, False, []),
    "no-exporter-stolen": ({"exporter"}, True, False, False, EVERYTHING),
    "no-handshake-exporter": ({"handshake", "exporter"}, False, False, False, EVERYTHING),
    "no-key": ({"spki", "exporter", "public_key"}, False, False, False, EVERYTHING),
    "no-freshness": ({"opening", "exporter"}, False, True, False, EVERYTHING),
    "no-user-data": ({"user_data"}, False, False, False, ["receipt-key"]),
}
# Which goals are asked of a variant: all where nothing is to be derived, else what must be.
HONEST = "takes(answer(request(alice),enc(new,alice)))"


def variables(text):
    return sorted(set(re.findall(r"\b[A-Z]\b", text)))


def dfg(clauses, goal):
    """SPASS's format."""
    functions = ",".join(f"({n},{a})" for n, a in [*FUNCTIONS.items(), *((c, 0) for c in CONSTANTS)])
    out = ["begin_problem(aegis).", "list_of_descriptions.", "name({*attested release*}).",
           "author({*Aegis*}).", "status(unknown).", "description({*see run.py*}).", "end_of_list.",
           f"list_of_symbols.\nfunctions[{functions}].",
           "predicates[(knows,1),(takes,1),(takesbob,1),(believes,1)].", "end_of_list.",
           "list_of_clauses(axioms,cnf)."]
    for at, (head, body) in enumerate(clauses):
        literals = "or(" + ",".join([f"not({atom})" for atom in body] + [head]) + ")"
        bound = variables(literals)
        out.append(f"clause({f'forall([{chr(44).join(bound)}],{literals})' if bound else literals},c{at}).")
    out += ["end_of_list.", "list_of_clauses(conjectures,cnf)."]
    bound = variables(goal)
    denied = f"or(not({goal}))"
    out.append(f"clause({f'forall([{chr(44).join(bound)}],{denied})' if bound else denied},goal).")
    return "\n".join([*out, "end_of_list.", "end_problem."]) + "\n"


def tptp(clauses, goal):
    """The format of E and most others."""
    lines = [f"cnf(c{at},axiom,({' | '.join([head, *(f'~{atom}' for atom in body)])}))."
             for at, (head, body) in enumerate(clauses)]
    return "\n".join([*lines, f"cnf(goal,negated_conjecture,(~{goal}))."]) + "\n"


def spass(path):
    said = subprocess.run(["SPASS", "-TimeLimit=60", "-PGiven=0", "-PProblem=0", path],
                          capture_output=True, text=True).stdout
    return {"Completion found": False, "Proof found": True}.get(
        (re.search(r"SPASS beiseite: ([^.]*)\.", said) or [None, None])[1])


def e_prover(path):
    said = subprocess.run(["eprover", "--literal-selection-strategy=PSelectComplexExceptUniqMaxHorn",
                           "-tKBO6", "-s", "--cpu-limit=10", path], capture_output=True, text=True).stdout
    return True if "SZS status Unsatisfiable" in said else False if "SZS status Satisfiable" in said else None


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    hold, attacks, wrong, silent = 0, 0, 0, 0
    for name, (without, stolen, broken, policy, derived) in VARIANTS.items():
        clauses = list(rules(without, stolen, broken, policy))
        asked = {**{goal: goal in derived for goal in (derived or GOALS)}, "honest": True}
        for goal, expected in asked.items():
            atom = GOALS.get(goal, HONEST)
            base = folder / f"{name}.{goal}"
            (dfg_path := base.with_suffix(base.suffix + ".dfg")).write_text(dfg(clauses, atom))
            (tptp_path := base.with_suffix(base.suffix + ".p")).write_text(tptp(clauses, atom))
            verdict, second = spass(dfg_path), e_prover(tptp_path)
            silent += second is None
            if verdict is not expected or second not in (expected, None):
                wrong += 1
                print(f"{name} {goal}: expected {expected}, SPASS says {verdict}, E says {second}")
            elif goal != "honest":
                hold, attacks = hold + (not verdict), attacks + verdict
    print(f"E did not finish on {silent} of the questions" if silent else "E agrees on every question")
    print(f"{hold} hold, {attacks} attacks")
    return 1 if wrong else 0


if len(sys.argv) != 2:
    sys.exit(2)
sys.exit(main(Path(sys.argv[1])))
