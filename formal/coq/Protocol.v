(** Attested release, receipts and sealed credentials: who says what, what an adversary can make of
    it, what each side checks.

    The adversary is the host and the network: it carries every byte, is a client and an owner itself,
    runs other images under the same root, keeps everything it ever saw, makes enclave instances and
    owners give up all they hold, and steals the TLS key of a running instance alone. Sessions,
    instances, clients, owners, requests and messages are unbounded: a run is any list of events that
    the rules allow, newest first.

    Symbolic: keys, hashes, signatures and sealed records are free terms (see formal/README.md). *)
Require Import List Bool Arith.
Import ListNotations.

(** * Terms *)

(** Whose ephemeral key share it is in a TLS handshake. Shares themselves are public. *)
Inductive share := Client (c : nat) | Enclave (j : nat) | Own (n : nat).

(** Signature keys: AWS's root, a hypervisor's leaf, an instance's inner TLS key and receipt key
    (enclave/src/identity.rs), an owner's, and keys that the adversary made. *)
Inductive key := Root | Leaf (h : nat) | Tls (i : nat) | Receipt (i : nat) | Owner (w : nat)
| Forged (n : nat).

Inductive label := LCert | LDoc | LUser | LOpening | LAsk | LAnswer | LHandover | LRecord | LReceipt.

Inductive term :=
| Label (l : label)
| Num (n : nat)
| Nonce (c : nat)                       (* 32 random bytes of client c's opening *)
| Request (c q : nat)                   (* what client c asks as its request q *)
| Answer (j q : nat)                    (* what the provider answers to request q of session j *)
| Credential (w d n : nat)              (* owner w's for its account n at provider d *)
| Public (k : key)
| Private (k : key)
| Ephemeral (x : share)                 (* the private half of a key share *)
| Hellos (x y : share)                  (* the handshake's transcript up to the server's share *)
| Session (x y : share) (k : key)       (* the secret of the TLS session between shares x (client) and
                                           y (server) whose certificate has the key k: Diffie-Hellman
                                           value and transcript through HKDF *)
| Exporter (s n : term)                 (* RFC 8446, 7.5: of a session's secret, with context n *)
| Pair (a b : term)
| Hash (m : term)
| Sign (k : key) (m : term)
| Seal (s m : term).                    (* a record of that session *)

Definition Certificate (k : key) := Pair (Label LCert) (Public k).
(** `aegis_wire::binding`: user_data and nonce of PROTOCOL.md, section 3.2. *)
Definition user_data (receipt : term) := Hash (Pair (Label LUser) receipt).
Definition binding (opening spki exporter : term) := Hash (Pair opening (Pair (Hash spki) exporter)).
(** The signed part of an attestation document: PCRs, public_key, user_data, nonce. *)
Definition document (pcrs public_key user nonce : term) :=
  Pair (Label LDoc) (Pair pcrs (Pair public_key (Pair user nonce))).
Definition opening (n : term) := Pair (Label LOpening) n.
(** The nonce that instance i's evidence has in session j, for an opening with n. *)
Notation evidence_nonce j i x n :=
  (binding (opening n) (Public (Tls i)) (Exporter (Session x (Enclave j) (Tls i)) n)).
(** A request names its number, its provider and the owner whose credential it accepts. *)
Definition ask (q d : nat) (owner : key) (request : term) :=
  Pair (Label LAsk) (Pair (Num q) (Pair (Num d) (Pair (Public owner) request))).
Definition reply (q : nat) (answer : term) := Pair (Label LAnswer) (Pair (Num q) answer).
(** The sealed record, and how an owner's tool sends it inside TLS. *)
Definition record (owner : key) (spki : term) (d n : nat) (credential : term) :=
  Pair (Label LRecord) (Pair (Public owner) (Pair spki (Pair (Num d) (Pair (Num n) credential)))).
Definition handover (signed : term) := Pair (Label LHandover) signed.
(** What a receipt states: the session, by the nonce of its evidence; number, provider, both digests,
    and under whose credential. *)
Definition statement (session : term) (q d : nat) (request answer under : term) := Pair (Label LReceipt)
  (Pair session (Pair (Num q) (Pair (Num d) (Pair request (Pair answer under))))).
(** "Not a sealed one". *)
Definition unsealed_custody := Num 0.

(** Measurements. 0 is what a debug enclave reports; 1 is the image that the client accepts. *)
Definition debug := 0.
Definition good := 1.

(** * What the verifier, the client's TLS and the enclave check; each can be taken out. *)
Record checks := {
  c_handshake : bool;    (* CertificateVerify of the inner TLS *)
  c_signature : bool;    (* the document's signature under the leaf *)
  c_chain : bool;        (* the leaf's chain to the pinned root *)
  c_debug : bool;        (* an all-zero PCR0 never passes *)
  c_pcrs : bool;         (* PCRs equal an accepted set *)
  c_opening : bool;      (* nonce: covers this opening *)
  c_spki : bool;         (* nonce: covers this TLS key *)
  c_exporter : bool;     (* nonce: covers this session's exporter *)
  c_public_key : bool;   (* public_key is this TLS key *)
  c_user_data : bool;    (* user_data covers this receipt key *)
  c_table : bool;        (* the destination is in the measured table *)
  c_once : bool;         (* a record is taken once (TLS record numbers) *)
  c_receipt : bool;      (* a receipt's signature under the receipt key *)
  c_receipt_session : bool; (* a receipt names the session of the evidence that is shown with it *)
  c_owner : bool;        (* the owner's tool verifies evidence before it hands anything over *)
  c_record_key : bool;   (* a sealed record is signed by the owner under whose name it is kept *)
  c_record_spki : bool;  (* ... and names this instance's TLS key *)
  c_record_provider : bool; (* ... and is kept for the provider that it names *)
  c_accepted : bool      (* a credential is used only where the client accepts its owner *)
}.

Section Protocol.
Variable table : nat -> bool.           (* the providers of the measured table *)
Variable careless : bool.               (* the policy lists the measurement of debug enclaves, too *)

Definition accepted (m : nat) := (m =? good) || (careless && (m =? debug)).

(** * Events *)
Inductive event :=
| Certify (h : nat)                           (* the root signs a hypervisor's leaf *)
| Accept (j i : nat) (x : share)              (* instance i answers a ClientHello: session j *)
| Attest (h j i : nat) (x : share) (n : term) (* ... answers an opening in it with evidence *)
| Other (h m : nat) (pk user nonce : term)    (* another image has a document made *)
| StealTls (i : nat)                          (* the TLS key alone is stolen; the instance runs on *)
| Reveal (i : nat)                            (* instance i gives up all it holds, and is dead *)
| Ended (j : nat)                             (* session j is over, its secrets are gone *)
| Connect (c : nat) (y : share) (k : key)     (* client c completed a handshake, sends its opening *)
| Release (c q d : nat) (o : key) (y : share) (k : key) (* ... verified evidence, sends request q for
                                                 d, to go under owner o *)
| Serve (j i : nat) (x : share) (q d : nat) (r : term) (* instance i passes r to d, relays the answer *)
| Got (c q : nat) (a : term)                  (* client c takes a as the answer to q *)
| Provision (c w d n : nat) (y : share) (k : key) (* owner w's tool, as client c, hands a record over *)
| Keep (j i : nat) (x : share) (o : key) (d n : nat) (s : term) (* instance i keeps s for d, in the
                                                 name of owner o, as its account n *)
| Use (j i : nat) (x : share) (q d : nat) (o : key) (s : term) (* ... sends s along with request q *)
| Receipted (j i : nat) (x : share) (n : term) (q d : nat) (r u : term) (* ... signs a receipt for it *)
| StealOwner (w : nat).                       (* owner w gives up key and credentials *)

(** What an event puts before the adversary. Evidence travels inside TLS; here it is published. *)
Definition messages (e : event) : list term :=
  match e with
  | Certify h => [Sign Root (Certificate (Leaf h))]
  | Accept j i x => [Sign (Tls i) (Hellos x (Enclave j))]
  | Attest h j i x n => [Sign (Leaf h) (document (Num good) (Public (Tls i))
        (user_data (Public (Receipt i))) (evidence_nonce j i x n))]
  | Other h pcrs pk user nonce => [Sign (Leaf h) (document (Num pcrs) pk user nonce)]
  | StealTls i => [Private (Tls i)]
  | Reveal i => [Private (Tls i); Private (Receipt i)]   (* and what it keeps: [k_kept] *)
  | Connect c y k => [Seal (Session (Client c) y k) (opening (Nonce c))]
  | Release c q d o y k => [Seal (Session (Client c) y k) (ask q d o (Request c q))]
  | Serve j i x q d r => Seal (Session x (Enclave j) (Tls i)) (reply q (Answer j q))
        :: if table d then [] else [r]         (* outside the table is the adversary's *)
  | Provision c w d n y k => [Seal (Session (Client c) y k)
        (handover (Sign (Owner w) (record (Owner w) (Public k) d n (Credential w d n))))]
  | Use j i x q d o s => if table d then [] else [s]
  | Receipted j i x n q d r u => [Sign (Receipt i)       (* shown to anybody *)
        (statement (evidence_nonce j i x n) q d (Hash r) (Hash (Answer j q)) u)]
  | StealOwner w => [Private (Owner w)]                  (* and its credentials: [k_owned] *)
  | Ended _ | Got _ _ _ | Keep _ _ _ _ _ _ _ => []
  end.

(** Session j was open in an instance when that instance gave up what it held. *)
Inductive caught : list event -> nat -> Prop :=
| caught_now tr j i x : In (Accept j i x) tr -> ~ In (Ended j) tr -> caught (Reveal i :: tr) j
| caught_before tr e j : caught tr j -> caught (e :: tr) j.

(** * The adversary (Dolev-Yao) *)
Inductive known (tr : list event) : term -> Prop :=
| k_message e m : In e tr -> In m (messages e) -> known tr m
| k_label l : known tr (Label l)
| k_num n : known tr (Num n)
| k_public k : known tr (Public k)
| k_hellos x y : known tr (Hellos x y)
| k_forged n : known tr (Private (Forged n))
| k_own n : known tr (Ephemeral (Own n))
| k_caught j : caught tr j -> known tr (Ephemeral (Enclave j))
| k_kept j i x o d n s : In (Keep j i x o d n s) tr -> In (Reveal i) tr -> known tr s
| k_owned w d n : In (StealOwner w) tr -> known tr (Credential w d n)
| k_client x y k : known tr (Ephemeral x) -> known tr (Session x y k)
| k_server x y k : known tr (Ephemeral y) -> known tr (Session x y k)
| k_exporter s n : known tr s -> known tr n -> known tr (Exporter s n)
| k_pair a b : known tr a -> known tr b -> known tr (Pair a b)
| k_first a b : known tr (Pair a b) -> known tr a
| k_second a b : known tr (Pair a b) -> known tr b
| k_hash m : known tr m -> known tr (Hash m)
| k_sign k m : known tr (Private k) -> known tr m -> known tr (Sign k m)
| k_read k m : known tr (Sign k m) -> known tr m
| k_seal s m : known tr s -> known tr m -> known tr (Seal s m)
| k_unseal s m : known tr (Seal s m) -> known tr s -> known tr m.

(** * What passes `aegis_verifier::verify` at client c, whose session is with share y and key k *)
Definition signed g tr lk doc := if c_signature g then known tr (Sign lk doc) else known tr doc.
Definition trusted g tr m := fun pk user nonce =>
  exists lk, signed g tr lk (document (Num m) pk user nonce) /\
  (c_chain g = true -> known tr (Sign Root (Certificate lk))) /\
  (c_debug g = true -> m <> debug) /\
  (c_pcrs g = true -> accepted m = true).

Definition verified g tr c y k := exists m pk user o s e,
  trusted g tr m pk user (Hash (Pair o (Pair s e))) /\
  (c_opening g = true -> o = opening (Nonce c)) /\
  (c_spki g = true -> s = Hash (Public k)) /\
  (c_exporter g = true -> e = Exporter (Session (Client c) y k) (Nonce c)) /\
  (c_public_key g = true -> pk = Public k).

(** What an auditor concludes who holds evidence and a receipt key, and was in no session. *)
Definition audited g tr receipt nonce := exists m pk user,
  trusted g tr m pk user nonce /\ (c_user_data g = true -> user = user_data receipt).

(** What a third party takes for a receipt under the key rk, of the session whose archived evidence has
    that nonce, in these words. *)
Definition receipt_accepted g tr rk nonce q d request answer under := exists k session, rk = Public k /\
  audited g tr rk nonce /\ (c_receipt_session g = true -> session = nonce) /\
  let s := statement session q d request answer under in
  if c_receipt g then known tr (Sign k s) else known tr s.

(** * The rules *)
Inductive step (g : checks) (tr : list event) : event -> Prop :=
| s_certify h : step g tr (Certify h)
| s_accept j i x : (forall i' x', ~ In (Accept j i' x') tr) -> ~ In (Reveal i) tr ->
    step g tr (Accept j i x)
| s_attest h j i x n : In (Accept j i x) tr -> ~ In (Reveal i) tr -> ~ In (Ended j) tr ->
    known tr (Seal (Session x (Enclave j) (Tls i)) (opening n)) -> step g tr (Attest h j i x n)
| s_other h m pk user nonce : m <> good -> known tr pk -> known tr user -> known tr nonce ->
    step g tr (Other h m pk user nonce)
| s_steal i : step g tr (StealTls i)
| s_reveal i : step g tr (Reveal i)
| s_ended j : step g tr (Ended j)
| s_connect c y k : (forall y' k', ~ In (Connect c y' k') tr) ->
    (c_handshake g = true -> known tr (Sign k (Hellos (Client c) y))) -> step g tr (Connect c y k)
| s_release c q d o y k : In (Connect c y k) tr ->
    (forall d' o' y' k', ~ In (Release c q d' o' y' k') tr) ->
    verified g tr c y k -> step g tr (Release c q d o y k)
| s_serve j i x q d d' o r : In (Accept j i x) tr -> ~ In (Reveal i) tr -> ~ In (Ended j) tr ->
    known tr (Seal (Session x (Enclave j) (Tls i)) (ask q d o r)) ->
    (c_table g = true -> d' = d /\ table d = true) ->       (* else the host names the destination *)
    (c_once g = true -> forall i' x' e r', ~ In (Serve j i' x' q e r') tr) ->
    step g tr (Serve j i x q d' r)
| s_got c q d o y k a : In (Release c q d o y k) tr ->
    known tr (Seal (Session (Client c) y k) (reply q a)) -> step g tr (Got c q a)
| s_provision c w d n y k : In (Connect c y k) tr -> (c_owner g = true -> verified g tr c y k) ->
    step g tr (Provision c w d n y k)
| s_keep j i x o signer spki d d' n s : In (Accept j i x) tr -> ~ In (Reveal i) tr ->
    ~ In (Ended j) tr ->
    known tr (Seal (Session x (Enclave j) (Tls i)) (handover (Sign signer (record o spki d n s)))) ->
    (c_record_key g = true -> signer = o) ->
    (c_record_spki g = true -> spki = Public (Tls i)) ->
    (c_record_provider g = true -> d' = d) ->
    step g tr (Keep j i x o d' n s)
| s_use j i x q d d' o o' n s r j' x' : In (Serve j i x q d' r) tr -> ~ In (Reveal i) tr ->
    known tr (Seal (Session x (Enclave j) (Tls i)) (ask q d o r)) -> In (Keep j' i x' o' d' n s) tr ->
    (c_accepted g = true -> o' = o) -> step g tr (Use j i x q d' o' s)
| s_receipt h j i x n q d r u : In (Serve j i x q d r) tr -> ~ In (Reveal i) tr ->
    In (Attest h j i x n) tr ->
    (u = unsealed_custody \/ exists o s, u = Public o /\ In (Use j i x q d o s) tr) ->
    step g tr (Receipted j i x n q d r u)
| s_owner w : step g tr (StealOwner w).

Inductive reach (g : checks) : list event -> Prop :=
| r_nil : reach g []
| r_cons tr e : reach g tr -> step g tr e -> reach g (e :: tr).

End Protocol.
