(** What holds of attested release, for every run and whatever the adversary does.

    One invariant carries it all: whatever the adversary can derive is [open] to it, a set defined
    without reference to derivations. The claims hold already with the checks of [sound]; that the
    others are redundant against this adversary is a claim of its own, [what_is_enough]. *)
Require Import List Bool Arith.
Require Import Protocol.
Import ListNotations.

(** The checks from which secrecy, agreement and confinement follow. *)
Definition sound (g : checks) : Prop :=
  c_signature g = true /\ c_chain g = true /\ c_debug g = true /\ c_pcrs g = true /\
  c_exporter g = true /\ c_table g = true /\ c_once g = true /\
  (c_owner g = true /\ c_record_key g = true /\ c_record_spki g = true).

(** All of them, and all but some: what ships is [without []]. *)
Inductive check := Handshake | Signature | Chain | Debug | Pcrs | Opening | Spki | ByExporter
  | PublicKey | UserData | Table | Once | ReceiptSignature | ReceiptSession | OwnerVerifies
  | RecordKey | RecordSpki | RecordProvider | Accepted.
Definition same (a b : check) : {a = b} + {a <> b}.
Proof. decide equality. Defined.
Definition without (out : list check) : checks :=
  let on c := if in_dec same c out then false else true in
  {| c_handshake := on Handshake; c_signature := on Signature; c_chain := on Chain;
     c_debug := on Debug; c_pcrs := on Pcrs; c_opening := on Opening; c_spki := on Spki;
     c_exporter := on ByExporter; c_public_key := on PublicKey; c_user_data := on UserData;
     c_table := on Table; c_once := on Once; c_receipt := on ReceiptSignature; c_receipt_session := on ReceiptSession;
     c_owner := on OwnerVerifies; c_record_key := on RecordKey; c_record_spki := on RecordSpki;
     c_record_provider := on RecordProvider; c_accepted := on Accepted |}.

(** What ships is sound. It stays so without the checks that overlap with the exporter, which alone
    binds evidence to the session, to its key and to now. *)
Lemma shipped_sound : sound (without []).
Proof. unfold sound; simpl; auto 10. Qed.
Theorem overlapping_checks : sound (without [Handshake; Opening; Spki; PublicKey; UserData]).
Proof. unfold sound; simpl; auto 10. Qed.

Section Claims.
Variable table : nat -> bool.
Variable careless : bool.
Variable g : checks.
Hypothesis S : sound g.

Notation known := (known table).
Notation step := (step table careless g).
Notation reach := (reach table careless g).
Notation messages := (messages table).

(** * What is open to the adversary *)
Definition exposed (tr : list event) (x : share) : Prop :=
  match x with Own _ => True | Enclave j => caught tr j | Client _ => False end.
Definition stolen (tr : list event) (k : key) : Prop :=
  match k with
  | Forged _ => True
  | Tls i => In (StealTls i) tr \/ In (Reveal i) tr
  | Receipt i => In (Reveal i) tr
  | Owner w => In (StealOwner w) tr
  | _ => False
  end.

(** What honest parties sign ... *)
Inductive vouched (tr : list event) : key -> term -> Prop :=
| v_leaf h : vouched tr Root (Certificate (Leaf h))
| v_attest h j i x n : In (Attest h j i x n) tr ->
    vouched tr (Leaf h) (document (Num good) (Public (Tls i)) (user_data (Public (Receipt i)))
      (binding (opening n) (Public (Tls i)) (Exporter (Session x (Enclave j) (Tls i)) n)))
| v_other h m pk user nonce : m <> good ->
    vouched tr (Leaf h) (document (Num m) pk user nonce)
| v_hellos j i x : In (Accept j i x) tr -> vouched tr (Tls i) (Hellos x (Enclave j))
| v_record c w d n y k : In (Provision c w d n y k) tr ->
    vouched tr (Owner w) (record (Owner w) (Public k) d n (Credential w d n))
| v_receipt j i x n q d r u : In (Receipted j i x n q d r u) tr -> vouched tr (Receipt i)
    (statement (evidence_nonce j i x n) q d (Hash r) (Hash (Answer j q)) u).

(** ... and seal. *)
Inductive sealed (tr : list event) : term -> term -> Prop :=
| z_opening c y k : In (Connect c y k) tr ->
    sealed tr (Session (Client c) y k) (opening (Nonce c))
| z_ask c q d o y k : In (Release c q d o y k) tr ->
    sealed tr (Session (Client c) y k) (ask q d o (Request c q))
| z_reply j i x q d r : In (Serve j i x q d r) tr ->
    sealed tr (Session x (Enclave j) (Tls i)) (reply q (Answer j q))
| z_handover c w d n y k : In (Provision c w d n y k) tr -> sealed tr (Session (Client c) y k)
    (handover (Sign (Owner w) (record (Owner w) (Public k) d n (Credential w d n)))).

(** A credential's way leads to whoever holds the other end, and to an instance's end. *)
Definition given_away (tr : list event) (y : share) (k : key) : Prop :=
  exposed tr y \/ exists i, k = Tls i /\ In (Reveal i) tr.

Inductive open (tr : list event) : term -> Prop :=
| o_label l : open tr (Label l)
| o_num n : open tr (Num n)
| o_public k : open tr (Public k)
| o_hellos x y : open tr (Hellos x y)
| o_nonce c y k : In (Connect c y k) tr -> exposed tr y -> open tr (Nonce c)
| o_request c q d o y k : In (Release c q d o y k) tr -> exposed tr y -> open tr (Request c q)
| o_answer j i x q d r : In (Serve j i x q d r) tr -> exposed tr x \/ exposed tr (Enclave j) ->
    open tr (Answer j q)
| o_owned w d n : In (StealOwner w) tr -> open tr (Credential w d n)
| o_given c w d n y k : In (Provision c w d n y k) tr -> given_away tr y k ->
    open tr (Credential w d n)
| o_digest j i x n q d r u : In (Receipted j i x n q d r u) tr -> open tr (Hash r)
| o_digest_of_answer j i x n q d r u : In (Receipted j i x n q d r u) tr -> open tr (Hash (Answer j q))
| o_private k : stolen tr k -> open tr (Private k)
| o_ephemeral x : exposed tr x -> open tr (Ephemeral x)
| o_session x y k : exposed tr x \/ exposed tr y -> open tr (Session x y k)
| o_exporter s n : open tr s -> open tr n -> open tr (Exporter s n)
| o_pair a b : open tr a -> open tr b -> open tr (Pair a b)
| o_hash m : open tr m -> open tr (Hash m)
| o_binding h j i x n : In (Attest h j i x n) tr ->
    open tr (binding (opening n) (Public (Tls i)) (Exporter (Session x (Enclave j) (Tls i)) n))
| o_sign k m : open tr m -> stolen tr k \/ vouched tr k m -> open tr (Sign k m)
| o_seal s m : open tr s -> open tr m -> open tr (Seal s m)
| o_sealed s m : sealed tr s m -> open tr (Seal s m).

Local Hint Constructors open sealed vouched caught : core.
Local Hint Resolve in_cons in_eq : core.

Lemma exposed_mono tr e x : exposed tr x -> exposed (e :: tr) x.
Proof. destruct x; simpl; auto. Qed.
Lemma given_away_mono tr e y k : given_away tr y k -> given_away (e :: tr) y k.
Proof. intros [H|(i & -> & H)]; [left; apply exposed_mono, H|right; exists i; auto]. Qed.
Lemma stolen_mono tr e k : stolen tr k -> stolen (e :: tr) k.
Proof. destruct k; simpl; tauto. Qed.
Lemma vouched_mono tr e k m : vouched tr k m -> vouched (e :: tr) k m.
Proof. destruct 1; eauto. Qed.
Lemma sealed_mono tr e s m : sealed tr s m -> sealed (e :: tr) s m.
Proof. destruct 1; eauto. Qed.
Local Hint Resolve exposed_mono given_away_mono stolen_mono vouched_mono sealed_mono : core.
Lemma open_mono tr e t : open tr t -> open (e :: tr) t.
Proof. induction 1; eauto; intuition eauto. Qed.
Local Hint Resolve open_mono : core.

(** * What every run keeps true *)
Record kept (tr : list event) : Prop := {
  accept_once : forall j i x i' x',
    In (Accept j i x) tr -> In (Accept j i' x') tr -> i = i' /\ x = x';
  connect_once : forall c y k y' k',
    In (Connect c y k) tr -> In (Connect c y' k') tr -> y = y' /\ k = k';
  attest_in : forall h j i x n, In (Attest h j i x n) tr -> In (Accept j i x) tr;
  release_to : forall c q d o y k, In (Release c q d o y k) tr -> In (Connect c y k) tr /\
    exists j i, y = Enclave j /\ k = Tls i /\ In (Accept j i (Client c)) tr;
  release_once : forall c q d o y k d' o' y' k',
    In (Release c q d o y k) tr -> In (Release c q d' o' y' k') tr -> d = d' /\ o = o';
  serve_of : forall j i x q d r, In (Serve j i x q d r) tr ->
    In (Accept j i x) tr /\ table d = true /\
    (open tr (Session x (Enclave j) (Tls i)) /\ open tr r \/
     exists c o, x = Client c /\ r = Request c q /\ In (Release c q d o (Enclave j) (Tls i)) tr);
  serve_once : forall j i x q d r i' x' d' r',
    In (Serve j i x q d r) tr -> In (Serve j i' x' q d' r') tr -> d = d' /\ r = r';
  provision_to : forall c w d n y k, In (Provision c w d n y k) tr -> In (Connect c y k) tr /\
    exists j i, y = Enclave j /\ k = Tls i /\ In (Accept j i (Client c)) tr;
  keep_of : forall j i x o d n s, In (Keep j i x o d n s) tr -> stolen tr o /\ open tr s \/
    exists c w d' y, o = Owner w /\ s = Credential w d' n /\ In (Provision c w d' n y (Tls i)) tr /\
      (c_record_provider g = true -> d = d');
  use_of : forall j i x q d o s, In (Use j i x q d o s) tr -> (exists r, In (Serve j i x q d r) tr) /\
    (exists j' x' n, In (Keep j' i x' o d n s) tr) /\
    (c_accepted g = true -> open tr (Session x (Enclave j) (Tls i)) \/
      exists c d', x = Client c /\ In (Release c q d' o (Enclave j) (Tls i)) tr);
  receipt_of : forall j i x n q d r u, In (Receipted j i x n q d r u) tr ->
    (exists h, In (Attest h j i x n) tr) /\ In (Serve j i x q d r) tr /\
    (u = unsealed_custody \/ exists o s, u = Public o /\ In (Use j i x q d o s) tr);
  said_open : forall e m, In e tr -> In m (messages e) -> open tr m
}.

Ltac inv H := inversion H; subst; clear H.

Lemma open_pair tr a b : open tr (Pair a b) -> open tr a /\ open tr b.
Proof. intros H; inv H; auto. Qed.
Lemma open_sign tr k m : open tr (Sign k m) -> open tr m /\ (stolen tr k \/ vouched tr k m).
Proof. intros H; inv H; auto. Qed.
Lemma open_seal tr s m : open tr (Seal s m) -> open tr s /\ open tr m \/ sealed tr s m.
Proof. intros H; inv H; auto. Qed.
Lemma open_session tr x y k : open tr (Session x y k) -> exposed tr x \/ exposed tr y.
Proof. intros H; inv H; auto. Qed.

(** Whoever holds a session's secret can read what was sealed in it, and nothing is lost by it. *)
Lemma unsealed tr s m : kept tr -> sealed tr s m -> open tr s -> open tr m.
Proof.
  intros K Z O. inv Z; apply open_session in O; unfold opening, ask, reply, handover.
  - destruct O as [[]|O]; eauto.
  - destruct O as [[]|O]; eauto 8.
  - eauto 6.
  - destruct O as [[]|O]. apply o_pair; auto. apply o_sign; [unfold record|eauto].
    repeat apply o_pair; eauto. eapply o_given; [eassumption|left; auto].
Qed.

Lemma known_open tr : kept tr -> forall t, known tr t -> open tr t.
Proof.
  intros K t D. induction D; eauto using said_open; simpl in *.
  - apply o_private; simpl; auto.
  - apply o_ephemeral; simpl; auto.
  - destruct (keep_of tr K _ _ _ _ _ _ _ H) as [[_ O]|(c & w & d' & y & -> & -> & P & _)]; auto.
    eapply o_given; [eassumption|right; eauto].
  - inv IHD; auto.
  - inv IHD; auto.
  - apply open_pair in IHD; tauto.
  - apply open_pair in IHD; tauto.
  - inv IHD1; auto.
  - apply open_sign in IHD; tauto.
  - apply open_seal in IHD1 as [[_ ?]|Z]; eauto using unsealed.
Qed.

(** Evidence that passes was made by an instance of the accepted image, for this very session. *)
Lemma genuine tr m pk user nonce : kept tr -> trusted table careless g tr m pk user nonce ->
  exists h j i x n, In (Attest h j i x n) tr /\ pk = Public (Tls i) /\
    user = user_data (Public (Receipt i)) /\
    nonce = binding (opening n) (Public (Tls i)) (Exporter (Session x (Enclave j) (Tls i)) n).
Proof.
  destruct S as (S1 & S2 & S3 & S4 & _).
  intros K (lk & D & C & B & A). unfold signed in D. rewrite S1 in D.
  specialize (C S2); specialize (B S3); specialize (A S4).
  apply known_open, open_sign in C as [_ [[]|C]]; auto. inv C.
  apply known_open, open_sign in D as [_ [[]|D]]; auto. inv D; eauto 9.
  unfold accepted in A. apply orb_prop in A as [A|A].
  - apply Nat.eqb_eq in A. contradiction.
  - apply andb_prop in A as [_ A]. apply Nat.eqb_eq in A. contradiction.
Qed.

Lemma for_this_session tr c y k : kept tr -> verified table careless g tr c y k ->
  exists j i, y = Enclave j /\ k = Tls i /\ In (Accept j i (Client c)) tr.
Proof.
  intros K (m & pk & user & o & s & e & T & _ & _ & E & _).
  destruct (genuine tr _ _ _ _ K T) as (h & j & i & x & n & A & _ & _ & B).
  assert (X : c_exporter g = true) by apply S. specialize (E X). subst e. inv B.
  exists j, i. repeat split. eapply attest_in; eauto.
Qed.

Ltac split_in := repeat match goal with H : In _ (_ :: _) |- _ => destruct H as [H|H] end.
Ltac clash T := subst; inv T; exfalso;
  match goal with N : forall _, _ |- False => eapply N; eassumption end.

Lemma kept_step tr e : kept tr -> step tr e -> kept (e :: tr).
Proof.
  intros K T. pose proof (known_open tr K) as KO.
  assert (S6 : c_table g = true) by apply S. assert (S7 : c_once g = true) by apply S.
  assert (S8 : c_owner g = true) by apply S. assert (S9 : c_record_key g = true) by apply S.
  assert (S10 : c_record_spki g = true) by apply S.
  assert (HR : forall c q d o y k, e = Release c q d o y k -> In (Connect c y k) tr /\
    exists j i, y = Enclave j /\ k = Tls i /\ In (Accept j i (Client c)) tr).
  { intros c q d o y k ->. inv T. split; auto. eapply for_this_session; eauto. }
  assert (HP : forall c w d n y k, e = Provision c w d n y k -> In (Connect c y k) tr /\
    exists j i, y = Enclave j /\ k = Tls i /\ In (Accept j i (Client c)) tr).
  { intros c w d n y k ->. inv T. split; auto. eapply for_this_session; eauto. }
  assert (HS : forall j i x q d r, e = Serve j i x q d r -> In (Accept j i x) tr /\ table d = true /\
    (open tr (Session x (Enclave j) (Tls i)) /\ open tr r \/
     exists c o, x = Client c /\ r = Request c q /\ In (Release c q d o (Enclave j) (Tls i)) tr)).
  { intros j i x q d r ->. inv T.
    match goal with H : c_table g = true -> _ |- _ => destruct (H S6) as [-> P] end.
    split; [|split]; auto.
    match goal with H : known tr (Seal _ _) |- _ => apply KO, open_seal in H as [[O1 O2]|Z] end.
    - left. split; auto. do 4 (apply open_pair in O2 as [_ O2]). exact O2.
    - right. inv Z. eauto. }
  assert (HK : forall j i x o d n s, e = Keep j i x o d n s -> stolen tr o /\ open tr s \/
    exists c w d' y, o = Owner w /\ s = Credential w d' n /\ In (Provision c w d' n y (Tls i)) tr /\
      (c_record_provider g = true -> d = d')).
  { intros j i x o d n s ->. inv T.
    match goal with H : c_record_key g = true -> _ |- _ => specialize (H S9); subst end.
    match goal with H : c_record_spki g = true -> _ |- _ => specialize (H S10); subst end.
    match goal with H : known tr (Seal _ _) |- _ => apply KO, open_seal in H as [[_ O]|Z] end.
    - apply open_pair in O as [_ O]. apply open_sign in O as [O [W|V]].
      + left. split; auto. do 5 (apply open_pair in O as [_ O]). exact O.
      + right. inv V. eauto 9.
    - right. inv Z. eauto 9. }
  assert (HU : forall j i x q d o s, e = Use j i x q d o s ->
    (exists r, In (Serve j i x q d r) tr) /\ (exists j' x' n, In (Keep j' i x' o d n s) tr) /\
    (c_accepted g = true -> open tr (Session x (Enclave j) (Tls i)) \/
      exists c d', x = Client c /\ In (Release c q d' o (Enclave j) (Tls i)) tr)).
  { intros j i x q d o s ->. inv T. split; [eauto|split; [eauto|]]. intros A.
    match goal with H : c_accepted g = true -> _ |- _ => specialize (H A); subst end.
    match goal with H : known tr (Seal _ _) |- _ => apply KO, open_seal in H as [[O _]|Z] end; auto.
    right. inv Z. eauto. }
  split.
  - intros j i x i' x' H1 H2; split_in; [split; congruence| | |eauto using accept_once];
      clash T.
  - intros c y k y' k' H1 H2; split_in; [split; congruence| | |eauto using connect_once];
      clash T.
  - intros h j i x n [->|H]; right; [inv T; auto|eauto using attest_in].
  - intros c q d o y k [H|H].
    + destruct (HR _ _ _ _ _ _ H) as (C & j & i & Y & Z & A). eauto 9.
    + destruct (release_to tr K _ _ _ _ _ _ H) as (C & j & i & Y & Z & A). eauto 9.
  - intros c q d o y k d' o' y' k' H1 H2; split_in; [split; congruence| | |eauto using release_once];
      clash T.
  - intros j i x q d r H.
    assert (W : In (Accept j i x) tr /\ table d = true /\
      (open tr (Session x (Enclave j) (Tls i)) /\ open tr r \/
       exists c o, x = Client c /\ r = Request c q /\ In (Release c q d o (Enclave j) (Tls i)) tr))
      by (destruct H as [H|H]; [eapply HS; eauto|eapply serve_of; eauto]).
    destruct W as (A & P & [[O1 O2]|(c & o & X & R & L)]); split; auto; split; auto.
    right. exists c, o; auto.
  - intros j i x q d r i' x' d' r' H1 H2; split_in; [split; congruence| | |eauto using serve_once];
      subst e; inv T; exfalso;
      match goal with H : c_once g = true -> _ |- _ => eapply (H S7); eauto end.
  - intros c w d n y k [H|H].
    + destruct (HP _ _ _ _ _ _ H) as (C & j & i & Y & Z & A). eauto 9.
    + destruct (provision_to tr K _ _ _ _ _ _ H) as (C & j & i & Y & Z & A). eauto 9.
  - intros j i x o d n s H.
    assert (W : stolen tr o /\ open tr s \/ exists c w d' y, o = Owner w /\ s = Credential w d' n /\
      In (Provision c w d' n y (Tls i)) tr /\ (c_record_provider g = true -> d = d'))
      by (destruct H as [H|H]; [eapply HK; eauto|eapply keep_of; eauto]).
    destruct W as [[]|(c & w & d' & y & E1 & E2 & P & E3)]; [auto|]. right. eauto 9.
  - intros j i x q d o s H.
    assert (W : (exists r, In (Serve j i x q d r) tr) /\ (exists j' x' n, In (Keep j' i x' o d n s) tr) /\
      (c_accepted g = true -> open tr (Session x (Enclave j) (Tls i)) \/
        exists c d', x = Client c /\ In (Release c q d' o (Enclave j) (Tls i)) tr))
      by (destruct H as [H|H]; [eapply HU; eauto|eapply use_of; eauto]).
    destruct W as ((r & V) & (j' & x' & n & P) & A). split; [eauto|split; [eauto 6|]].
    intros C. destruct (A C) as [O|(c & d' & X & L)]; [auto|right; eauto].
  - intros j i x n q d r u [->|H].
    + inv T. split; [eauto|split; [auto|]].
      match goal with H : _ \/ _ |- _ => destruct H as [|(o & s & ? & ?)] end; [auto|right; eauto].
    + destruct (receipt_of tr K _ _ _ _ _ _ _ _ H) as [(h & A) [V [|(o & s & ? & ?)]]];
        (split; [eauto|split; [auto|]]); [auto|right; eauto].
  - intros f m [<-|Hf] Hm; [|eauto using said_open].
    destruct e; simpl in Hm; repeat (destruct Hm as [<-|Hm]); try contradiction;
      try (apply o_sealed; eauto; fail).
    + apply o_sign; [unfold Certificate; auto|eauto].
    + apply o_sign; [auto|eauto].
    + apply o_sign; [unfold document, user_data|eauto].
      repeat apply o_pair; eauto 6.
    + inv T. apply o_sign; [unfold document|eauto]. repeat apply o_pair; eauto.
    + apply o_private; simpl; auto.
    + apply o_private; simpl; auto.
    + apply o_private; simpl; auto.
    + destruct (HS _ _ _ _ _ _ eq_refl) as (_ & P & _). rewrite P in Hm. contradiction.
    + destruct (HU _ _ _ _ _ _ _ eq_refl) as ((r & V) & _). apply (serve_of tr K) in V as (_ & P & _).
      rewrite P in Hm. contradiction.
    + apply o_sign; [unfold statement|eauto]. inv T.
      match goal with A : In (Attest _ _ _ _ _) tr |- _ => apply o_binding, (open_mono _
        (Receipted j i x n q d r u)) in A end.
      repeat apply o_pair; eauto.
      match goal with H : _ \/ _ |- _ => destruct H as [->|(o & s & -> & _)] end; auto.
      unfold unsealed_custody; auto.
    + apply o_private; simpl; auto.
Qed.

Lemma reach_kept tr : reach tr -> kept tr.
Proof. induction 1; [split; simpl; intros; contradiction|]. eauto using kept_step. Qed.

Lemma suffix later earlier : reach (later ++ earlier) -> reach earlier.
Proof. induction later; simpl; intros R; [|inv R]; auto. Qed.

Lemma known_mono tr e t : known tr t -> known (e :: tr) t.
Proof.
  induction 1; [eapply k_message; [right; eassumption|assumption]|..];
    try (constructor; eauto; fail);
    [eapply k_kept; eauto|
     eapply k_first|eapply k_second|eapply k_read|eapply k_unseal]; eauto.
Qed.

(** * The claims *)

(** The instance that client c speaks with, and the session at its other end. *)
Definition peer (tr : list event) (c j i : nat) : Prop :=
  In (Connect c (Enclave j) (Tls i)) tr /\ In (Accept j i (Client c)) tr.

(** Evidence: a client that released anything did so to an instance of the accepted image, which
    has exactly this session, made for this client's key share. *)
Theorem released_to_the_image tr c q d o y k : reach tr -> In (Release c q d o y k) tr ->
  exists j i, y = Enclave j /\ k = Tls i /\ peer tr c j i.
Proof.
  intros R H. destruct (release_to tr (reach_kept tr R) _ _ _ _ _ _ H) as (C & j & i & -> & -> & A).
  exists j, i. repeat split; auto.
Qed.

(** Secrecy of requests. Only that instance, caught while this session was open, gives them away;
    the TLS key may be stolen at any time. *)
Theorem request_secret tr c q d o j i : reach tr -> In (Release c q d o (Enclave j) (Tls i)) tr ->
  ~ caught tr j -> ~ known tr (Request c q).
Proof.
  intros R H N D. pose proof (reach_kept tr R) as K. apply known_open in D; auto. inv D.
  match goal with H' : In (Release c q _ _ _ _) tr |- _ =>
    apply (release_to tr K) in H' as [C' _]; apply (release_to tr K) in H as [C _] end.
  destruct (connect_once tr K _ _ _ _ _ C C') as [<- _]. simpl in *. contradiction.
Qed.

(** Secrecy of answers. *)
Theorem answer_secret tr c q d r j i : reach tr -> In (Serve j i (Client c) q d r) tr ->
  ~ caught tr j -> ~ known tr (Answer j q).
Proof.
  intros R H N D. pose proof (reach_kept tr R) as K. apply known_open in D; auto. inv D.
  match goal with H' : In (Serve j _ _ q _ _) tr |- _ =>
    apply (serve_of tr K) in H' as [A' _]; apply (serve_of tr K) in H as [A _] end.
  destruct (accept_once tr K _ _ _ _ _ A A') as [_ <-]. simpl in *. tauto.
Qed.

(** Forward secrecy: a session that ended before its instance gave up its keys is never caught. *)
Lemma ended_not_caught later j : forall earlier i x, In (Accept j i x) earlier ->
  reach (later ++ Ended j :: earlier) -> ~ In (Reveal i) earlier ->
  ~ caught (later ++ Ended j :: earlier) j.
Proof.
  assert (B : forall tr i x, In (Accept j i x) tr -> reach tr -> ~ In (Reveal i) tr -> ~ caught tr j).
  { intros tr i x A R N C. pose proof (reach_kept tr R) as K.
    assert (exists i' x', In (Accept j i' x') tr /\ In (Reveal i') tr) as (i' & x' & A' & V).
    { clear - C. induction C; [exists i, x; simpl; auto|].
      destruct IHC as (i' & x' & ? & ?); exists i', x'; simpl; auto. }
    destruct (accept_once tr K _ _ _ _ _ A A') as [<- _]. contradiction. }
  induction later as [|e later IH]; simpl; intros earlier i x A R N C.
  - inv C. inv R. eapply B; eauto.
  - inv R. inv C; [|eapply IH; eauto].
    match goal with H : ~ In (Ended j) _ |- _ => apply H, in_or_app; simpl; auto end.
Qed.

Theorem forward_secrecy later earlier c q d o j i :
  let tr := later ++ Ended j :: earlier in
  reach tr -> In (Release c q d o (Enclave j) (Tls i)) earlier -> ~ In (Reveal i) earlier ->
  ~ known tr (Request c q) /\
  forall e r, In (Serve j i (Client c) q e r) tr -> ~ known tr (Answer j q).
Proof.
  intros tr R H N.
  assert (RE : reach earlier) by (apply suffix in R; inv R; auto).
  destruct (release_to earlier (reach_kept _ RE) _ _ _ _ _ _ H) as (_ & j' & i' & Y & Z & A).
  inv Y. inv Z.
  assert (NC : ~ caught tr j') by (eapply ended_not_caught; eauto).
  split; [|intros; eapply answer_secret; eauto].
  eapply request_secret; eauto. subst tr. apply in_or_app; simpl; eauto.
Qed.

Lemma got_sealed tr c q a : reach tr -> In (Got c q a) tr -> exists d o y k,
  In (Release c q d o y k) tr /\ known tr (Seal (Session (Client c) y k) (reply q a)).
Proof.
  induction 1 as [|tr e R IH T]; [contradiction|]. intros [->|H].
  - inv T. exists d, o, y, k. split; [right; auto|apply known_mono; auto].
  - destruct (IH H) as (d & o & y & k & L & D). exists d, o, y, k. split; [right; auto|apply known_mono; auto].
Qed.

(** Where a client's request is passed on at all, it is in the session with that client, as the
    same request number, to the destination that the client named ... *)
Theorem request_agreement tr c q d o j i j' i' x q' d' : reach tr ->
  In (Release c q d o (Enclave j) (Tls i)) tr -> ~ caught tr j ->
  In (Serve j' i' x q' d' (Request c q)) tr ->
  j' = j /\ i' = i /\ x = Client c /\ q' = q /\ d' = d /\ table d = true.
Proof.
  intros R H N V. pose proof (reach_kept tr R) as K.
  destruct (serve_of tr K _ _ _ _ _ _ V) as (A & P & [[_ O]|(c' & o' & -> & E & L)]).
  - exfalso. inv O.
    match goal with H' : In (Release c q _ _ _ _) tr |- _ =>
      apply (release_to tr K) in H' as [C' _]; apply (release_to tr K) in H as [C _] end.
    destruct (connect_once tr K _ _ _ _ _ C C') as [<- _]. simpl in *. contradiction.
  - injection E as <- <-. pose proof (release_once tr K _ _ _ _ _ _ _ _ _ _ H L) as [<- <-].
    apply (release_to tr K) in H as [C _]. apply (release_to tr K) in L as [C' _].
    destruct (connect_once tr K _ _ _ _ _ C C') as [E1 E2]. injection E1 as <-. injection E2 as <-.
    repeat split; auto.
Qed.

(** ... and at most once: after such an event there is no second. *)
Theorem served_at_most_once later earlier c q d o j i j1 i1 x1 q1 d1 j2 i2 x2 q2 d2 :
  let again := Serve j1 i1 x1 q1 d1 (Request c q) in
  let tr := later ++ again :: earlier in
  reach tr -> In (Release c q d o (Enclave j) (Tls i)) tr -> ~ caught tr j ->
  ~ In (Serve j2 i2 x2 q2 d2 (Request c q)) earlier.
Proof.
  intros again tr R H N V2.
  assert (V1 : In again tr) by (apply in_or_app; simpl; auto).
  assert (W2 : In (Serve j2 i2 x2 q2 d2 (Request c q)) tr) by (apply in_or_app; simpl; auto).
  destruct (request_agreement _ _ _ _ _ _ _ _ _ _ _ _ R H N V1) as (-> & -> & -> & -> & -> & _).
  destruct (request_agreement _ _ _ _ _ _ _ _ _ _ _ _ R H N W2) as (-> & -> & -> & -> & -> & _).
  apply suffix in R. inv R. match goal with T : step _ _ |- _ => inv T end.
  assert (O : c_once g = true) by apply S.
  match goal with F : c_once g = true -> _ |- _ => eapply (F O); eauto end.
Qed.

(** Agreement: what a client takes as the answer to its request is the provider's answer to exactly
    that request, from the provider that it named. With [served_at_most_once]: injectively. *)
Theorem agreement tr c q d o j i a : reach tr -> In (Release c q d o (Enclave j) (Tls i)) tr ->
  ~ caught tr j -> In (Got c q a) tr ->
  a = Answer j q /\ table d = true /\ In (Serve j i (Client c) q d (Request c q)) tr.
Proof.
  intros R H N G. pose proof (reach_kept tr R) as K.
  destruct (got_sealed tr c q a R G) as (d0 & o0 & y & k & L & D).
  assert (E : Enclave j = y /\ Tls i = k).
  { apply (release_to tr K) in H as [C _]. apply (release_to tr K) in L as [C' _].
    eapply connect_once; eauto. }
  destruct E as [<- <-].
  apply known_open, open_seal in D as [[O _]|Z]; auto.
  - apply open_session in O as [[]|O]. simpl in O. contradiction.
  - inv Z. match goal with V : In (Serve j i _ q _ _) tr |- _ =>
      destruct (serve_of tr K _ _ _ _ _ _ V) as (A & P & [[O _]|(c' & o' & X & -> & L')]) end.
    + apply open_session in O as [[]|O]. simpl in O. contradiction.
    + injection X as <-. pose proof (release_once tr K _ _ _ _ _ _ _ _ _ _ H L') as [<- _]. auto.
Qed.

(** The enclave does not know who its client is, but request and answer are of one TLS peer: in a
    session with client c's share it passes on nothing but what client c released in it. *)
Theorem one_peer tr j i c q d r : reach tr -> In (Serve j i (Client c) q d r) tr -> ~ caught tr j ->
  r = Request c q /\ exists o, In (Release c q d o (Enclave j) (Tls i)) tr.
Proof.
  intros R V N. destruct (serve_of tr (reach_kept tr R) _ _ _ _ _ _ V) as (_ & _ & [[O _]|W]).
  - apply open_session in O as [[]|O]. simpl in O. contradiction.
  - destruct W as (c' & o & E & -> & L). injection E as <-. eauto.
Qed.

(** Destination confinement: nothing is passed on but to a provider of the measured table. *)
Theorem confinement tr j i x q d r : reach tr -> In (Serve j i x q d r) tr -> table d = true.
Proof. intros R V. apply (serve_of tr (reach_kept tr R) _ _ _ _ _ _ V). Qed.

End Claims.
