(** What appears when the checks behind receipts and sealed credentials are taken out, one by one;
    and an honest run with both. *)
Require Import List Bool Arith.
Require Import Protocol ProtocolClaims SealedClaims Runs.
Import ListNotations.

Section Attacks.
Variable table : nat -> bool.
Variables here there : nat.                       (* two providers of the table *)
Hypothesis in_table : table here = true.
Hypothesis also_in_table : table there = true.
Hypothesis apart : there <> here.

Notation reach := (reach table false).
Notation known := (known table).
Notation honest := (honest here).
Notation provisioned := (provisioned here).

(** * Receipts *)

(** A third party takes a receipt although no instance served anything or gave up a key. *)
Definition forged g : Prop := exists tr rk nonce q d request answer under, reach g tr /\
  receipt_accepted table false g tr rk nonce q d request answer under /\
  (forall j i x q d r, ~ In (Serve j i x q d r) tr) /\ forall i, ~ In (Reveal i) tr.
Notation made_up n := (statement n 0 here (Hash (Num 1)) (Hash (Num 2)) unsealed_custody).

Lemma shown g tr rk nonce : reach g tr -> audited table false g tr (Public rk) nonce -> known tr nonce ->
  (c_receipt g = true -> known tr (Sign rk (made_up nonce))) ->
  (forall j i x q d r, ~ In (Serve j i x q d r) tr) -> (forall i, ~ In (Reveal i) tr) -> forged g.
Proof.
  intros R A W K N1 N2.
  exists tr, (Public rk), nonce, 0, here, (Hash (Num 1)), (Hash (Num 2)), unsealed_custody.
  split; [exact R|split; [|split; auto]]. exists rk, nonce.
  split; [reflexivity|split; [exact A|split; [reflexivity|]]]. simpl.
  destruct (c_receipt g); [apply K; reflexivity|]. unfold statement, unsealed_custody.
  repeat apply k_pair; try exact W; derive.
Qed.
Lemma self_signed tr n nonce : known tr nonce -> known tr (Sign (Forged n) (made_up nonce)).
Proof.
  intros W. unfold statement, unsealed_custody. apply k_sign; [derive|].
  repeat apply k_pair; try exact W; derive.
Qed.
(** The nonce in the instance's evidence, which everybody may read. *)
Notation archived := (evidence_nonce 0 0 (Own 1) (Num 0)).
Lemma archived_known tr : In (relayed (Num 0)) tr -> known tr archived.
Proof.
  intros A. assert (D := k_message table tr _ _ A (or_introl eq_refl)).
  do 4 (eapply k_second). eapply k_read. exact D.
Qed.
(** The receipt's signature: anybody writes the words beside honest evidence. *)
Theorem attack_receipt_signature : forged (without [ReceiptSignature]).
Proof.
  apply shown with (tr := [relayed (Num 0); Accept 0 0 (Own 1); Certify 0]) (rk := Receipt 0)
    (nonce := archived); [| |apply archived_known; simpl; auto|discriminate|absent|absent].
  - run; [apply s_certify|apply s_accept; absent|].
    apply s_attest; [simpl; auto|absent|absent|]. apply own_opening, k_num.
  - eexists good, _, _. split; [|simpl; reflexivity].
    exists (Leaf 0); split; [simpl; msg|simpl; repeat split; intros; try discriminate; try msg].
Qed.

(** User data: the adversary signs with a key of its own, beside honest evidence. *)
Theorem attack_user_data : forged (without [UserData]).
Proof.
  apply shown with (tr := [relayed (Num 0); Accept 0 0 (Own 1); Certify 0]) (rk := Forged 0)
    (nonce := archived); [| |apply archived_known; simpl; auto
    |intros _; apply self_signed, archived_known; simpl; auto|absent|absent].
  - run; [apply s_certify|apply s_accept; absent|].
    apply s_attest; [simpl; auto|absent|absent|]. apply own_opening, k_num.
  - eexists good, _, _. split; [|simpl; discriminate].
    exists (Leaf 0); split; [simpl; msg|simpl; repeat split; intros; try discriminate; try msg].
Qed.

(** Measurements: ... beside evidence of another image under the same root, which names that key. *)
Theorem attack_receipt_measurement : forged (without [Pcrs]).
Proof.
  set (u := user_data (Public (Forged 0))).
  apply shown with (tr := [Other 0 7 (Num 0) u (Num 0); Certify 0]) (rk := Forged 0) (nonce := Num 0);
    [| |apply k_num|intros _; apply self_signed, k_num|absent|absent].
  - run; [apply s_certify|]. apply s_other; [discriminate|derive|unfold u, user_data; derive|derive].
  - eexists 7, _, u. split; [|simpl; reflexivity].
    exists (Leaf 0); split; [simpl; msg|simpl; repeat split; intros; try discriminate; try msg].
Qed.

(** The document's signature: ... beside a document that the adversary wrote. *)
Theorem attack_receipt_evidence : forged (without [Signature]).
Proof.
  set (u := user_data (Public (Forged 0))).
  apply shown with (tr := [Certify 0]) (rk := Forged 0) (nonce := Num 0);
    [| |apply k_num|intros _; apply self_signed, k_num|absent|absent].
  - run. apply s_certify.
  - eexists good, (Num 0), u. split; [|simpl; reflexivity].
    exists (Leaf 0); split; [simpl; unfold document, u, user_data; derive|].
    simpl; repeat split; intros; try discriminate; msg.
Qed.

(** The session: a receipt of one session passes beside the evidence of another. *)
Definition of_another_session g : Prop := exists tr rk j i x n q d request answer under, reach g tr /\
  receipt_accepted table false g tr rk (evidence_nonce j i x n) q d request answer under /\
  In (Attest 0 j i x n) tr /\ (forall x' q d r, ~ In (Serve j i x' q d r) tr) /\
  forall i, ~ In (Reveal i) tr.
Theorem attack_receipt_session : of_another_session (without [ReceiptSession]).
Proof.
  exists (Attest 0 1 0 (Own 1) (Num 0) :: Accept 1 0 (Own 1)
    :: Receipted 0 0 (Client 0) (Nonce 0) 0 here (Request 0 0) unsealed_custody
    :: Serve 0 0 (Client 0) 0 here (Request 0 0) :: honest), (Public (Receipt 0)), 1, 0, (Own 1), (Num 0),
    0, here, (Hash (Request 0 0)), (Hash (Answer 0 0)), unsealed_custody.
  split; [|split; [|split; [simpl; auto|split; absent]]].
  - onto @honest_reached.
    + apply s_serve with (d := here) (o := Owner 0); [simpl; auto 10|absent|absent|msg|auto|absent].
    + apply (s_receipt table false _ _ 0); [simpl; auto|absent|simpl; auto 10|left; reflexivity].
    + apply s_accept; absent.
    + apply s_attest; [simpl; auto|absent|absent|]. apply own_opening, k_num.
  - exists (Receipt 0), (evidence_nonce 0 0 (Client 0) (Nonce 0)). split; [reflexivity|].
    split; [|split; [discriminate|simpl; msg]]. eexists good, _, _. split; [|simpl; reflexivity].
    exists (Leaf 0); split; [simpl; msg|simpl; repeat split; intros; try discriminate; try msg].
Qed.

(** * Sealed credentials *)

(** The owner's tool does not verify: the credential goes to whoever answers. *)
Theorem attack_owner_verification : exists tr, reach (without [OwnerVerifies]) tr /\
  known tr (Credential 0 here 0) /\ unaided tr /\ (forall w, ~ In (StealOwner w) tr) /\
  forall i, ~ In (Reveal i) tr.
Proof.
  exists [Provision 0 0 here 0 (Own 0) (Forged 0); Connect 0 (Own 0) (Forged 0)].
  split; [|split; [|split; [absent|split; absent]]].
  - run; [apply s_connect; [absent|intros; derive]|apply s_provision; [simpl; auto|discriminate]].
  - do 5 (eapply k_second). eapply k_read, k_second, eavesdrop, said. left. reflexivity.
Qed.

(** An instance keeps, under the name of an honest owner, what that owner did not give to it. *)
Definition misplaced g : Prop := exists tr j i x w d n s, reach g tr /\
  In (Keep j i x (Owner w) d n s) tr /\ (forall w, ~ In (StealOwner w) tr) /\
  forall c d y, ~ In (Provision c w d n y (Tls i)) tr.

(** A record that names no instance: one from an instance that was broken into, shown to another. *)
Theorem attack_record_spki : misplaced (without [RecordSpki]).
Proof.
  exists (Keep 2 1 (Own 1) (Owner 0) here 0 (Credential 0 here 0) :: Accept 2 1 (Own 1) :: Reveal 0
    :: provisioned), 2, 1, (Own 1), 0, here, 0, (Credential 0 here 0).
  split; [|split; [simpl; auto|split; absent]].
  onto @provisioned_reached.
  - apply s_reveal.
  - apply s_accept; absent.
  - apply s_keep with (signer := Owner 0) (spki := Public (Tls 0)) (d := here);
      [simpl; auto|absent|absent| |reflexivity|discriminate|reflexivity].
    apply k_seal; [apply k_client, k_own|]. apply k_pair; [apply k_label|].
    eapply k_second, k_unseal; [msg|].
    apply k_server, (k_caught _ _ 1), caught_before, caught_now with (i := 0) (x := Client 1);
      [simpl; auto|absent].
Qed.

(** A record that anybody may sign: the adversary's own stands under the name of owner 0, and the
    request of a client that trusts this owner goes out under the adversary's account. *)
Lemma own_record tr j i o spki d s : known tr s -> known tr spki ->
  known tr (Seal (Session (Own 1) (Enclave j) (Tls i))
    (handover (Sign (Forged 0) (record o spki d 0 s)))).
Proof.
  intros K P. apply k_seal; [apply k_client, k_own|]. unfold handover, record.
  apply k_pair; [constructor|apply k_sign; [apply k_forged|]]. repeat apply k_pair; auto; constructor.
Qed.
Definition under_another g : Prop := exists tr s, reach g tr /\
  In (Release 0 0 here (Owner 0) (Enclave 0) (Tls 0)) tr /\
  (exists o, In (Use 0 0 (Client 0) 0 here o s) tr) /\ s = Num 7 /\
  unaided tr /\ (forall w, ~ In (StealOwner w) tr) /\ forall i, ~ In (Reveal i) tr.
Lemma planted g o : reach g honest -> (c_record_key g = true -> Forged 0 = o) ->
  (c_accepted g = true -> o = Owner 0) -> c_table g = true -> under_another g.
Proof.
  intros R K A T.
  exists (Use 0 0 (Client 0) 0 here o (Num 7) :: Serve 0 0 (Client 0) 0 here (Request 0 0)
    :: Keep 1 0 (Own 1) o here 0 (Num 7) :: Accept 1 0 (Own 1) :: honest), (Num 7).
  split; [|split; [simpl; auto 10|split; [exists o; simpl; auto|split; [reflexivity|split]]]];
    [|absent|split; absent].
  onto R.
  - apply s_accept; absent.
  - apply s_keep with (signer := Forged 0) (spki := Public (Tls 0)) (d := here);
      [simpl; auto|absent|absent|apply own_record; constructor|exact K|reflexivity|reflexivity].
  - apply s_serve with (d := here) (o := Owner 0); [simpl; auto 10|absent|absent|msg|auto|absent].
  - apply s_use with (d := here) (o := Owner 0) (n := 0) (r := Request 0 0) (j' := 1) (x' := Own 1);
      [simpl; auto|absent|msg|simpl; auto|exact A].
Qed.
Theorem attack_record_key : under_another (without [RecordKey]).
Proof. apply planted with (o := Owner 0); simpl; auto; [apply honest_reached|discriminate]. Qed.

(** Accepted owners: the host chooses under whose account a client's request goes. *)
Theorem attack_accepted : under_another (without [Accepted]).
Proof. apply planted with (o := Forged 0); simpl; auto; [apply honest_reached|discriminate]. Qed.

(** A record that may stand for any provider: the credential for one is shown to another. *)
Theorem attack_record_provider : exists tr, reach (without [RecordProvider]) tr /\
  In (Use 2 0 (Own 1) 0 there (Owner 0) (Credential 0 here 0)) tr /\ there <> here /\
  unaided tr /\ (forall w, ~ In (StealOwner w) tr) /\ forall i, ~ In (Reveal i) tr.
Proof.
  exists (Use 2 0 (Own 1) 0 there (Owner 0) (Credential 0 here 0) :: Serve 2 0 (Own 1) 0 there (Num 1)
    :: Accept 2 0 (Own 1) :: Keep 1 0 (Client 1) (Owner 0) there 0 (Credential 0 here 0) :: provisioned).
  split; [|split; [simpl; auto|split; [exact apart|split; [absent|split; absent]]]].
  onto @provisioned_reached.
  - apply s_keep with (signer := Owner 0) (spki := Public (Tls 0)) (d := here);
      [simpl; auto 10|absent|absent|msg|reflexivity|reflexivity|discriminate].
  - apply s_accept; absent.
  - apply s_serve with (d := there) (o := Owner 0); [simpl; auto|absent|absent| |auto|absent].
    apply k_seal; [apply k_client, k_own|unfold ask; derive].
  - apply s_use with (d := there) (o := Owner 0) (n := 0) (r := Num 1) (j' := 1) (x' := Client 1);
      [simpl; auto|absent| |simpl; auto|reflexivity].
    apply k_seal; [apply k_client, k_own|unfold ask; derive].
Qed.

(** * With every check in place *)

(** ... none of these is possible. *)
Theorem shipped_not_forged : ~ forged (without []).
Proof.
  intros (tr & rk & nonce & q & d & request & answer & under & R & A & V & N).
  destruct (receipt_not_forged table false _ shipped_sound _ _ _ _ _ _ _ _ eq_refl eq_refl eq_refl R A)
    as (j & i & x & n & _ & _ & [X|(_ & r & _ & _ & X & _)]); [exact (N _ X)|exact (V _ _ _ _ _ _ X)].
Qed.
Theorem shipped_not_of_another_session : ~ of_another_session (without []).
Proof.
  intros (tr & rk & j & i & x & n & q & d & request & answer & under & R & A & _ & V & N).
  destruct (receipt_not_forged table false _ shipped_sound _ _ _ _ _ _ _ _ eq_refl eq_refl eq_refl R A)
    as (j' & i' & x' & n' & _ & E & [X|(_ & r & _ & _ & X & _)]); [exact (N _ X)|].
  inversion E; subst. exact (V _ _ _ _ X).
Qed.
Theorem shipped_not_misplaced : ~ misplaced (without []).
Proof.
  intros (tr & j & i & x & w & d & n & s & R & H & N & P).
  destruct (kept_for_its_owner table false _ shipped_sound _ _ _ _ _ _ _ _ eq_refl R H (N w))
    as (_ & c & j' & X). exact (P _ _ _ X).
Qed.
Theorem shipped_not_under_another : ~ under_another (without []).
Proof.
  intros (tr & s & R & L & (o & U) & -> & _ & W & N).
  pose proof (reach_kept table false _ shipped_sound tr R) as K.
  assert (C : ~ caught tr 0).
  { intros C. apply (caught_revealed table (without []) tr 0 K) in C as (i & x & _ & V). exact (N i V). }
  pose proof (used_where_accepted table false _ shipped_sound _ _ _ _ _ _ _ _ eq_refl R U C) as L'.
  destruct (release_once _ _ tr K _ _ _ _ _ _ _ _ _ _ L L') as [_ <-].
  destruct (used_for_its_provider table false _ shipped_sound _ _ _ _ _ _ _ _ eq_refl R U (W 0))
    as (_ & n & E). discriminate.
Qed.

(** An owner's tool provisions; a client that accepts the owner asks, and gets the answer; a third
    party takes the receipt of it. *)
Theorem honest_sealed_run : exists tr, reach (without []) tr /\
  In (Use 0 0 (Client 0) 0 here (Owner 0) (Credential 0 here 0)) tr /\ In (Got 0 0 (Answer 0 0)) tr /\
  receipt_accepted table false (without []) tr (Public (Receipt 0))
    (evidence_nonce 0 0 (Client 0) (Nonce 0)) 0 here
    (Hash (Request 0 0)) (Hash (Answer 0 0)) (Public (Owner 0)).
Proof.
  exists (Got 0 0 (Answer 0 0)
    :: Receipted 0 0 (Client 0) (Nonce 0) 0 here (Request 0 0) (Public (Owner 0))
    :: Use 0 0 (Client 0) 0 here (Owner 0) (Credential 0 here 0)
    :: Serve 0 0 (Client 0) 0 here (Request 0 0)
    :: Keep 1 0 (Client 1) (Owner 0) here 0 (Credential 0 here 0) :: provisioned).
  split; [|split; [simpl; auto|split; [simpl; auto|]]].
  - onto @provisioned_reached.
    + apply s_keep with (signer := Owner 0) (spki := Public (Tls 0)) (d := here);
        [simpl; auto 10|absent|absent|msg|reflexivity|reflexivity|reflexivity].
    + apply s_serve with (d := here) (o := Owner 0); [simpl; auto 15|absent|absent|msg|auto|absent].
    + apply s_use with (d := here) (o := Owner 0) (n := 0) (r := Request 0 0) (j' := 1) (x' := Client 1);
        [simpl; auto|absent|msg|simpl; auto|reflexivity].
    + apply (s_receipt table false _ _ 0); [simpl; auto|absent|simpl; auto 15|right; exists (Owner 0), (Credential 0 here 0); simpl; auto].
    + apply s_got with (d := here) (o := Owner 0) (y := Enclave 0) (k := Tls 0); [simpl; auto 15|msg].
  - exists (Receipt 0), (evidence_nonce 0 0 (Client 0) (Nonce 0)). split; [reflexivity|].
    split; [|split; [reflexivity|simpl; msg]]. eexists good, _, _. split; [|simpl; reflexivity].
    exists (Leaf 0); split; [simpl; msg|simpl; repeat split; intros; try discriminate; try msg].
Qed.

(** The exceptions in the claims are needed: who breaks into an instance has what it keeps. *)
Theorem compromise_matters : exists tr, reach (without []) tr /\ known tr (Credential 0 here 0) /\
  In (Reveal 0) tr /\ forall w, ~ In (StealOwner w) tr.
Proof.
  exists (Reveal 0 :: Keep 1 0 (Client 1) (Owner 0) here 0 (Credential 0 here 0) :: provisioned).
  split; [|split; [|split; [simpl; auto|absent]]].
  - onto @provisioned_reached; [|apply s_reveal].
    apply s_keep with (signer := Owner 0) (spki := Public (Tls 0)) (d := here);
      [simpl; auto 10|absent|absent|msg|reflexivity|reflexivity|reflexivity].
  - eapply k_kept; simpl; eauto.
Qed.
End Attacks.
