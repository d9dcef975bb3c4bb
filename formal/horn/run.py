#!/usr/bin/env python3
"""Attested release, receipts and sealed credentials as Horn clauses, for two provers that know nothing of each other or of Coq.

`knows(t)` says that the adversary may come to know t: an over-approximation without time, in which
every event may happen again and again, in any number of sessions. So where nothing is derived, nothing
is known ("holds"); where a proof is found it is a candidate attack, and must be one that we expect.

One description (`rules`) gives the clauses of every variant; SPASS decides. E must find each of its proofs
again, and may not find one where SPASS says that there is none. Usage: run.py FOLDER. The last line is `N hold, M attacks`.

What this says differently from formal/coq/Protocol.v: two clients, one owner (boss, with carol as
tool), one living instance and two providers stand for all of their kind, with their names as terms; sessions are told apart by their key shares; an enclave's share
is a function of the share it answers. Compromise is chosen for each variant.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# What the verifier and the protocol check; each variant takes some out.
CHECKS = {"handshake", "signature", "chain", "debug", "pcrs", "opening", "spki", "exporter",
          "public_key", "user_data", "receipt", "owner", "record_key", "record_spki",
          "record_provider", "accepted"}

FUNCTIONS = {"pair": 2, "hash": 1, "sign": 2, "seal": 2, "pub": 1, "share": 1, "session": 3,
             "exporter": 2, "tls": 1, "enc": 2, "doc": 4, "cert": 1, "hellos": 2, "request": 1,
             "answer": 2, "nonce": 1, "receipt": 1, "other": 1, "cred": 1, "ask": 3, "rec": 4, "stmt": 4}
PREDICATES = {"knows": 1, "takes": 1, "takesbob": 1, "believes": 1, "accepts": 2, "provider": 1,
              "keeps": 3, "used": 4}
CONSTANTS = ["root", "leaf", "alice", "bob", "old", "new", "good", "debug", "adv", "advkey",
             "opening", "reply", "fixed", "handover", "boss", "carol", "here", "there", "host"]


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
    for at in "OHPC":
        yield f"knows({at})", ["knows(rec(O,H,P,C))"]
    yield "knows(rec(O,H,P,C))", ["knows(O)", "knows(H)", "knows(P)", "knows(C)"]
    yield "knows(stmt(P,Q,A,U))", ["knows(P)", "knows(Q)", "knows(A)", "knows(U)"]
    # Flat, like the next: pairs with an open end would keep SPASS from finishing.
    yield "knows(ask(P,O,R))", ["knows(P)", "knows(O)", "knows(R)"]
    yield "knows(R)", ["knows(ask(P,O,R))"]
    for word in ["opening", "reply", "good", "debug", "fixed", "adv", "advkey", "pub(root)",
                 "pub(leaf)", "share(alice)", "share(bob)", "sign(root,cert(pub(leaf)))", "handover",
                 "here", "there", "host", "pub(boss)", "share(carol)"]:
        yield f"knows({word})", []
    yield "knows(other(M))", ["knows(M)"]


def instance(name, alive, without):
    """An enclave of the accepted image: answers every ClientHello, opening, record and request."""
    on = CHECKS - without
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
        answer = f"answer(R,{mine})"
        asked = [f"knows(seal({session},ask(P,O,R)))", "provider(P)"]
        yield f"knows(seal({session},pair(reply,{answer})))", asked
        # The record's signer is S; it is kept by owner and provider, and used under that name.
        owner = "pub(S)" if "record_key" in on else "O"
        named = f"pub({key})" if "record_spki" in on else "H"
        record = f"rec({owner},{named},{'P' if 'record_provider' in on else 'Q'},C)"
        yield f"keeps({owner},P,C)", \
            [f"knows(seal({session},pair(handover,sign(S,{record}))))", "provider(P)"]
        under = "O" if "accepted" in on else "U"
        yield f"used({under},P,C,R)", [*asked, f"keeps({under},P,C)"]
        for how, more in [("host", []), (under, [f"keeps({under},P,C)"])]:
            yield f"knows(sign(receipt({name}),stmt(P,hash(R),hash({answer}),{how})))", [*asked, *more]
    else:
        for lost in [key, f"receipt({name})"]:
            yield f"knows({lost})", []


def other_images():
    """Documents under the same root for images of the adversary's, with fields of its choice."""
    fields = ["knows(P)", "knows(U)", "knows(N)"]
    yield "knows(sign(leaf,doc(other(M),P,U,N)))", ["knows(M)", *fields]
    yield "knows(sign(leaf,doc(debug,P,U,N)))", fields


def attested(name, without, policy):
    """A client up to evidence, with whoever has share Y and key K: session, what it sends before it
    has evidence and when, and in which cases it is content with what it got."""
    on = CHECKS - without
    session = f"session({name},Y,K)"
    met = ["knows(share(Y))", "knows(pub(K))"]
    if "handshake" in on:
        met.append(f"knows(sign(K,hellos({name},Y)))")
    measured = "good" if "pcrs" in on else "M"
    opened = f"pair(opening,nonce({name}))" if "opening" in on else "O"
    spki = "hash(pub(K))" if "spki" in on else "H"
    exported = f"exporter({session},nonce({name}))" if "exporter" in on else "E"
    nonce = f"hash({tuple_of(opened, spki, exported)})"
    public = "pub(K)" if "public_key" in on else "P"
    content = []
    for measurement in [measured] + (["debug"] if policy and "debug" not in on else []):
        document = f"doc({measurement},{public},U,{nonce})"
        evidence = [f"knows(sign(L,{document}))" if "signature" in on else f"knows({document})"]
        if "chain" in on:
            evidence.append("knows(sign(root,cert(pub(L))))")
        content.append(met + evidence)
    return session, met, content


def client(name, without, policy):
    """Opening, evidence, then a request for a provider, to go under a credential of boss's."""
    session, met, content = attested(name, without, policy)
    yield f"knows(seal({session},pair(opening,nonce({name}))))", met
    for verified in content:
        asked = f"ask(here,pub(boss),request({name}))"
        yield f"knows(seal({session},{asked}))", verified
        # What the client takes as the answer, for the goals of agreement.
        yield "takes(A)" if name == "alice" else "takesbob(A)", \
            verified + [f"knows(seal({session},pair(reply,A)))"]


def owner(without, old):
    """The owner's tool; what it gave an instance that was then broken into is the adversary's."""
    if old:
        yield "knows(sign(boss,rec(pub(boss),pub(tls(old)),here,cred(here))))", []
        return
    session, met, content = attested("carol", without, False)
    yield f"knows(seal({session},pair(opening,nonce(carol))))", met
    for verified in content if "owner" not in without else [met]:
        record = "sign(boss,rec(pub(boss),pub(K),here,cred(here)))"
        yield f"knows(seal({session},pair(handover,{record})))", verified


def auditor(without):
    """A third party with archived evidence: which receipt keys it believes, what it then accepts."""
    on = CHECKS - without
    document = f"doc({'good' if 'pcrs' in on else 'M'},P,{'hash(pub(K))' if 'user_data' in on else 'U'},N)"
    evidence = [f"knows(sign(L,{document}))" if "signature" in on else f"knows({document})", "knows(pub(K))"]
    if "chain" in on:
        evidence.append("knows(sign(root,cert(pub(L))))")
    yield "believes(pub(K))", evidence
    yield "accepts(pub(K),R)", [*evidence, "knows(sign(K,R))" if "receipt" in on else "knows(R)"]


def rules(without, stolen, broken, policy):
    yield from adversary()
    yield from (("provider(here)", []), ("provider(there)", []))
    yield from instance("new", True, without)
    if broken:
        yield from instance("old", False, without)
    if stolen:
        yield "knows(tls(new))", []
    yield from other_images()
    yield from client("alice", without, policy)
    yield from client("bob", without, policy)
    yield from owner(without, broken == "provisioned")
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
    "receipt": "accepts(pub(receipt(new)),stmt(P,Q,hash(adv),U))",
    "credential": "knows(cred(here))",
    "kept-for-boss": "keeps(pub(boss),P,adv)",
    "used-for-alice": "used(O,P,adv,request(alice))",
    "used-elsewhere": "used(O,there,cred(here),R)",
}
# ... and one that is asked only where boss's tool never met the instance that is alive.
STALE = {"stale": "keeps(pub(boss),P,cred(here))"}

# Variant: what is taken out, is the TLS key stolen, was an instance broken into, is the policy
# careless; the goals that must be derived, and all others must not.
EVERYTHING = ["request", "forged-answer", "credential"]
AND_RECEIPTS = [*EVERYTHING, "receipt-key"]
VARIANTS = {
    "shipped": (set(), False, False, False, []),
    "shipped-old": (set(), False, True, True, []),
    "shipped-stolen": (set(), True, True, True, []),
    "overlap": ({"handshake", "opening", "spki", "public_key"}, True, True, False, []),
    "no-signature": ({"signature"}, False, False, False, AND_RECEIPTS),
    "no-chain": ({"chain"}, False, False, False, AND_RECEIPTS),
    "no-pcrs": ({"pcrs"}, False, False, False, AND_RECEIPTS),
    "no-debug": ({"debug"}, False, False, True, ["request", "forged-answer"]),
    "no-exporter": ({"exporter"}, False, True, False, []),
    "no-exporter-stolen": ({"exporter"}, True, False, False, EVERYTHING),
    "no-handshake-exporter": ({"handshake", "exporter"}, False, False, False, EVERYTHING),
    "no-key": ({"spki", "exporter", "public_key"}, False, False, False, EVERYTHING),
    "no-freshness": ({"opening", "exporter"}, False, True, False, EVERYTHING),
    "no-user-data": ({"user_data"}, False, False, False, ["receipt-key"]),
    "no-receipt": ({"receipt"}, False, False, False, ["receipt"]),
    "no-owner": ({"owner"}, False, False, False, ["credential"]),
    "no-record-key": ({"record_key"}, False, False, False, ["kept-for-boss", "used-for-alice"]),
    "no-accepted": ({"accepted"}, False, False, False, ["used-for-alice"]),
    "no-record-provider": ({"record_provider"}, False, False, False, ["used-elsewhere"]),
    "shipped-provisioned": (set(), False, "provisioned", False, [], STALE),
    "no-record-spki": ({"record_spki"}, False, "provisioned", False, ["stale"], STALE),
}
# Which goals are asked of a variant: those it names, else all where nothing is to be derived, else
# what must be. And that honest runs are there.
ANSWER = "answer(request(alice),enc(new,alice))"
HONEST = {
    "honest": f"takes({ANSWER})",
    "honest-sealed": "used(pub(boss),here,cred(here),request(alice))",
    "honest-receipt": f"accepts(pub(receipt(new)),stmt(here,hash(request(alice)),hash({ANSWER}),pub(boss)))",
}


def questions(name, derived, only):
    """What is asked of a variant: name, atoms, must one be derived, and what the answer counts as.
    What must not be derived is asked at once: nothing is, or some of it."""
    goals = only or {goal: GOALS[goal] for goal in derived or GOALS}
    held = [atom for goal, atom in goals.items() if goal not in derived]
    if held:
        yield "holds", held, False, (len(held), 0)
    for goal in derived:
        yield goal, [goals[goal]], True, (0, 1)
    for goal, atom in HONEST.items():
        if goal == "honest" or name == "shipped":
            yield goal, [atom], True, (0, 0)


def variables(text):
    return sorted(set(re.findall(r"\b[A-Z]\b", text)))


def dfg(clauses, goals):
    """SPASS's format."""
    functions = ",".join(f"({n},{a})" for n, a in [*FUNCTIONS.items(), *((c, 0) for c in CONSTANTS)])
    out = ["begin_problem(aegis).", "list_of_descriptions.", "name({*attested release*}).",
           "author({*Aegis*}).", "status(unknown).", "description({*see run.py*}).", "end_of_list.",
           f"list_of_symbols.\nfunctions[{functions}].",
           f"predicates[{','.join(f'({n},{a})' for n, a in PREDICATES.items())}].", "end_of_list.",
           "list_of_clauses(axioms,cnf)."]
    for at, (head, body) in enumerate(clauses):
        literals = "or(" + ",".join([f"not({atom})" for atom in body] + [head]) + ")"
        bound = variables(literals)
        out.append(f"clause({f'forall([{chr(44).join(bound)}],{literals})' if bound else literals},c{at}).")
    out += ["end_of_list.", "list_of_clauses(conjectures,cnf)."]
    for at, goal in enumerate(goals):
        bound, denied = variables(goal), f"or(not({goal}))"
        out.append(f"clause({f'forall([{chr(44).join(bound)}],{denied})' if bound else denied},g{at}).")
    return "\n".join([*out, "end_of_list.", "end_problem."]) + "\n"


def tptp(clauses, goals):
    """The format of E and most others."""
    lines = [f"cnf(c{at},axiom,({' | '.join([head, *(f'~{atom}' for atom in body)])}))."
             for at, (head, body) in enumerate(clauses)]
    denied = [f"cnf(g{at},negated_conjecture,(~{goal}))." for at, goal in enumerate(goals)]
    return "\n".join([*lines, *denied]) + "\n"


def spass(path):
    """The verdict, and the places of the clauses that a proof took."""
    said = subprocess.run(["SPASS", "-DocProof", "-TimeLimit=60", "-PGiven=0", "-PProblem=0", path],
                          capture_output=True, text=True).stdout
    verdict = {"Completion found": False, "Proof found": True}.get(
        (re.search(r"SPASS beiseite: ([^.]*)\.", said) or [None, None])[1])
    return verdict, {int(at) - 1 for at in re.findall(r"^(\d+)\[0:Inp\]", said, flags=re.M)}


def e_prover(path):
    said = subprocess.run(["eprover", "--auto", "-s", "--cpu-limit=10", path],
                          capture_output=True, text=True).stdout
    return True if "SZS status Unsatisfiable" in said else False if "SZS status Satisfiable" in said else None


def decide(folder, name, clauses, goal, atoms):
    """What both provers say. A proof of SPASS's is found again by E, from the clauses that it took;
    where SPASS finds that there is none, E has all of them."""
    base = folder / f"{name}.{goal}"
    (dfg_path := base.with_suffix(base.suffix + ".dfg")).write_text(dfg(clauses, atoms))
    verdict, used = spass(dfg_path)
    taken = [clause for at, clause in enumerate(clauses) if at in used] if verdict else clauses
    (tptp_path := base.with_suffix(base.suffix + ".p")).write_text(tptp(taken, atoms))
    return verdict, e_prover(tptp_path)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    hold, attacks, wrong, silent, asked = 0, 0, 0, 0, []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, (without, stolen, broken, policy, derived, *only) in VARIANTS.items():
            clauses = list(rules(without, stolen, broken, policy))
            for goal, atoms, *meant in questions(name, derived, *(only or [None])):
                said = pool.submit(decide, folder, name, clauses, goal, atoms)
                asked.append((f"{name} {goal}", *meant, said))
    for what, expected, counted, said in asked:
        verdict, second = said.result()
        silent += second is None
        if verdict is not expected or second is not expected and (expected or second):
            wrong += 1
            print(f"{what}: expected {expected}, SPASS says {verdict}, E says {second}")
        else:
            hold, attacks = hold + counted[0], attacks + counted[1]
    print(f"E agrees on {len(asked) - silent} of {len(asked)} questions, and did not finish on the others")
    print(f"{hold} hold, {attacks} attacks")
    return 1 if wrong else 0


if len(sys.argv) != 2:
    sys.exit(2)
sys.exit(main(Path(sys.argv[1])))
