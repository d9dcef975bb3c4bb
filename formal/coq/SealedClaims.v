(** What holds of receipts and of sealed credentials, for every run and whatever the adversary does:
    corollaries of the invariant of [ProtocolClaims]. *)
Require Import List Bool Arith.
Require Import Protocol ProtocolClaims.
Import ListNotations.

Section Claims.
Variable table : nat -> bool.
Variable careless : bool.
Variable g : checks.
Hypothesis S : sound g.

Notation known := (known table).
Notation reach := (reach table careless g).
Notation kept := (kept table g).
Ltac inv H := inversion H; subst; clear H.

(** * Receipts *)

(** Whoever keeps evidence and receipt key holds the receipt key of an instance of the image. *)
Theorem receipt_key_genuine tr receipt nonce : c_user_data g = true -> reach tr ->
  audited table careless g tr receipt nonce -> exists h j i x n, receipt = Public (Receipt i) /\
    nonce = evidence_nonce j i x n /\ In (Attest h j i x n) tr.
Proof.
  intros U R (m & pk & user & T & E). specialize (E U).
  destruct (genuine table careless g S tr _ _ _ _ (reach_kept _ _ _ S tr R) T)
    as (h & j & i & x & n & A & _ & V & N).
  exists h, j, i, x, n. rewrite E in V. inv V. auto.
Qed.

(** What a receipt is about happened in session j: this provider of the table was asked this by an
    instance of the image, and answered that; where it names an owner, under a credential kept for it. *)
Definition received tr j i x q d request answer under := table d = true /\
  exists r, request = Hash r /\ answer = Hash (Answer j q) /\ In (Serve j i x q d r) tr /\
    (under = unsealed_custody \/ exists o s, under = Public o /\ In (Use j i x q d o s) tr).

(** Receipts cannot be forged: a third party that takes one, with archived evidence for the key,
    has the word of an instance of the accepted image, and on the very session that the evidence is
    for, as long as that instance was not broken into. *)
Theorem receipt_not_forged tr rk nonce q d request answer under :
  c_user_data g = true -> c_receipt g = true -> c_receipt_session g = true -> reach tr ->
  receipt_accepted table careless g tr rk nonce q d request answer under ->
  exists j i x n, rk = Public (Receipt i) /\ nonce = evidence_nonce j i x n /\
    (In (Reveal i) tr \/ received tr j i x q d request answer under).
Proof.
  intros U C W R (k & session & -> & A & E & F). specialize (E W) as ->. simpl in F. rewrite C in F.
  destruct (receipt_key_genuine tr _ _ U R A) as (h & j & i & x & n & K & N & V). inv K.
  exists j, i, x, n. split; [reflexivity|split; [reflexivity|]].
  pose proof (reach_kept _ _ _ S tr R) as K.
  apply (known_open _ _ tr K), open_sign in F as [_ [F|F]]; [left; exact F|right]. inv F.
  match goal with H : In (Receipted _ _ _ _ _ _ _ _) tr |- _ =>
    apply (receipt_of _ _ tr K) in H as (_ & Y & Z) end.
  pose proof (serve_of _ _ tr K _ _ _ _ _ _ Y) as (_ & P & _). split; [exact P|]. eauto 6.
Qed.

(** A receipt that a client can hold against its own request is about the answer in its own session. *)
Theorem receipt_of_own_request tr rk nonce c q d o j i d' answer under :
  c_user_data g = true -> c_receipt g = true -> c_receipt_session g = true -> reach tr ->
  In (Release c q d o (Enclave j) (Tls i)) tr -> ~ caught tr j -> (forall i, ~ In (Reveal i) tr) ->
  receipt_accepted table careless g tr rk nonce q d' (Hash (Request c q)) answer under ->
  rk = Public (Receipt i) /\ d' = d /\ answer = Hash (Answer j q) /\
    In (Serve j i (Client c) q d (Request c q)) tr.
Proof.
  intros U C W R L N NR A.
  destruct (receipt_not_forged _ _ _ _ _ _ _ _ U C W R A)
    as (j' & i' & x & n & E & _ & [V|(_ & r & Q & T & V & _)]).
  - destruct (NR _ V).
  - inv Q. destruct (request_agreement table careless g S _ _ _ _ _ _ _ _ _ _ _ _ R L N V)
      as (-> & -> & -> & _ & -> & _). auto.
Qed.

(** * Sealed credentials *)

Lemma caught_revealed tr j : kept tr -> caught tr j ->
  exists i x, In (Accept j i x) tr /\ In (Reveal i) tr.
Proof.
  intros _ C. induction C; [exists i, x; simpl; auto|].
  destruct IHC as (i & x & ? & ?); exists i, x; simpl; auto.
Qed.

(** An owner's tool hands a record over to instances of the accepted image only. *)
Theorem provisioned_to_the_image tr c w d n y k : reach tr -> In (Provision c w d n y k) tr ->
  exists j i, y = Enclave j /\ k = Tls i /\ peer tr c j i.
Proof.
  intros R P.
  destruct (provision_to _ _ tr (reach_kept _ _ _ S tr R) _ _ _ _ _ _ P) as (C & j & i & -> & -> & A).
  exists j, i. repeat split; auto.
Qed.

(** Secrecy: a sealed credential is secret until the owner or an instance to which the owner's tool
    gave it is broken into; stolen TLS keys of running instances change nothing. *)
Theorem credential_secret tr w d n : reach tr -> ~ In (StealOwner w) tr ->
  (forall c j i, In (Provision c w d n (Enclave j) (Tls i)) tr -> ~ In (Reveal i) tr) ->
  ~ known tr (Credential w d n).
Proof.
  intros R W N D. pose proof (reach_kept _ _ _ S tr R) as K. apply (known_open _ _ tr K) in D. inv D; [auto|].
  match goal with P : In (Provision _ _ _ _ _ _) tr |- _ =>
    destruct (provision_to _ _ tr K _ _ _ _ _ _ P) as (C & j & i & -> & -> & A); specialize (N _ _ _ P) end.
  match goal with H : given_away _ _ _ |- _ => destruct H as [G|(i' & E & V)] end.
  - apply (caught_revealed tr j K) in G as (i' & x & A' & V).
    destruct (accept_once _ _ tr K _ _ _ _ _ A A') as [<- _]. auto.
  - injection E as <-. auto.
Qed.

(** Integrity, and the replacement rule: what an instance keeps under an honest owner is what the
    owner's tool gave to that very instance, and stands for the provider that the record names. *)
Theorem kept_for_its_owner tr j i x w d n s : c_record_provider g = true -> reach tr ->
  In (Keep j i x (Owner w) d n s) tr -> ~ In (StealOwner w) tr ->
  s = Credential w d n /\ exists c j', In (Provision c w d n (Enclave j') (Tls i)) tr.
Proof.
  intros C R H N. pose proof (reach_kept _ _ _ S tr R) as K.
  destruct (keep_of _ _ tr K _ _ _ _ _ _ _ H) as [[V _]|(c & w' & d' & y & E & -> & P & D)]; [contradiction|].
  injection E as <-. specialize (D C) as <-. split; [reflexivity|].
  destruct (provision_to _ _ tr K _ _ _ _ _ _ P) as (_ & j' & i' & -> & _). eauto.
Qed.

(** Use: with an honest owner's name goes that owner's credential for that provider, nowhere else ... *)
Theorem used_for_its_provider tr j i x q d w s : c_record_provider g = true -> reach tr ->
  In (Use j i x q d (Owner w) s) tr -> ~ In (StealOwner w) tr ->
  table d = true /\ exists n, s = Credential w d n.
Proof.
  intros C R U N. pose proof (reach_kept _ _ _ S tr R) as K.
  destruct (use_of _ _ tr K _ _ _ _ _ _ _ U) as ((r & V) & (j' & x' & n & H) & _).
  split; [apply (serve_of _ _ tr K _ _ _ _ _ _ V)|].
  destruct (kept_for_its_owner tr _ _ _ _ _ _ _ C R H N) as [-> _]. eauto.
Qed.

(** ... and a client's request only under an owner that the client accepts, at the provider that it
    named. *)
Theorem used_where_accepted tr j i c q d o s : c_accepted g = true -> reach tr ->
  In (Use j i (Client c) q d o s) tr -> ~ caught tr j ->
  In (Release c q d o (Enclave j) (Tls i)) tr.
Proof.
  intros C R U N. pose proof (reach_kept _ _ _ S tr R) as K.
  assert (NO : ~ open tr (Session (Client c) (Enclave j) (Tls i))).
  { intros O. apply open_session in O as [[]|O]. simpl in O. contradiction. }
  destruct (use_of _ _ tr K _ _ _ _ _ _ _ U) as ((r & V) & _ & A).
  destruct (A C) as [O|(c' & d' & X & L)]; [contradiction|]. injection X as <-.
  destruct (one_peer table careless g S tr _ _ _ _ _ _ R V N) as (_ & o' & L').
  destruct (release_once _ _ tr K _ _ _ _ _ _ _ _ _ _ L L') as [<- _]. exact L.
Qed.
End Claims.
