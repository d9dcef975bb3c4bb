(** How runs are shown: tactics that step through one, what the adversary overhears in it, and an
    honest session that others begin with. *)
Require Import List Bool Arith.
Require Import Protocol ProtocolClaims.
Import ListNotations.

(** No key of anybody's was stolen but by breaking into an instance. *)
Definition unaided (tr : list event) : Prop := forall i, ~ In (StealTls i) tr.

Section Said.
Variable table : nat -> bool.
Lemma said tr m : In m (flat_map (messages table) tr) -> known table tr m.
Proof. intros H. apply in_flat_map in H as (e & E & M). eapply k_message; eauto. Qed.
End Said.

(** Tactics: step through a run; find a message in it; derive a term. *)
Ltac rewrites := repeat match goal with
  | H : _ = true |- _ => rewrite H | H : _ = false |- _ => rewrite H end.
Ltac msg := apply said; simpl; rewrites; simpl; repeat (first [left; reflexivity | right]); fail.
Ltac absent := unfold unaided, not; simpl; intros; intuition discriminate.
Ltac derive := first [msg | constructor; derive].
Ltac fact := first [absent | discriminate | reflexivity | simpl; auto 10; fail | derive].
Ltac onto earlier := first [apply earlier | apply r_cons; [onto earlier|]].
Ltac run := onto r_nil.
Ltac never := let H := fresh in intros j0 H; repeat match goal with
  | C : caught _ _ |- _ => inversion C; clear C; subst end; simpl in *; intuition congruence.

Ltac shows m pk user o s e lk := exists m, pk, user, o, s, e; split;
  [exists lk; split; [simpl|simpl; repeat split; intros; try discriminate; try reflexivity; try msg]
  |simpl; repeat split; intros; try discriminate; reflexivity].

(** Evidence of the instance for client 0's opening, asked for in a session of the adversary's. *)
Notation relayed n := (Attest 0 0 0 (Own 1) n).
Ltac shows_relayed n := shows good (Public (Tls 0)) (user_data (Public (Receipt 0))) (opening n)
  (Hash (Public (Tls 0))) (Exporter (Session (Own 1) (Enclave 0) (Tls 0)) n) (Leaf 0); msg.

Section Overheard.
Variable table : nat -> bool.
(** The adversary's end of a session opens what the client sealed in it. *)
Lemma eavesdrop tr m k c n : known table tr (Seal (Session (Client c) (Own n) k) m) ->
  known table tr m.
Proof. intros H. eapply k_unseal; [exact H|]. apply k_server, k_own. Qed.
Lemma overheard tr c q d o n k :
  In (Release c q d o (Own n) k) tr -> known table tr (Request c q).
Proof.
  intros H. do 4 (eapply k_second). eapply (eavesdrop tr (ask q d o (Request c q))).
  eapply k_message; [exact H|simpl; eauto].
Qed.
Lemma nonce_heard tr c n k : In (Connect c (Own n) k) tr -> known table tr (Nonce c).
Proof.
  intros H. apply (k_second table tr (Label LOpening)). eapply eavesdrop.
  eapply k_message; [exact H|simpl; eauto].
Qed.
Lemma exporter_made tr c n k : In (Connect c (Own n) k) tr ->
  known table tr (Exporter (Session (Client c) (Own n) k) (Nonce c)).
Proof. intros H. apply k_exporter; [apply k_server, k_own|eapply nonce_heard; eauto]. Qed.
(** The nonce that evidence for the adversary's own session must have. *)
Definition mine k := binding (opening (Nonce 0)) (Public k)
  (Exporter (Session (Client 0) (Own 0) k) (Nonce 0)).
Lemma mine_made tr k : In (Connect 0 (Own 0) k) tr -> known table tr (mine k).
Proof.
  intros H. apply k_hash, k_pair; [apply k_pair; [apply k_label|eapply nonce_heard; eauto]|].
  apply k_pair; [apply k_hash, k_public|eapply exporter_made; eauto].
Qed.
Lemma own_opening tr j n i m : known table tr m ->
  known table tr (Seal (Session (Own n) (Enclave j) (Tls i)) (opening m)).
Proof. intros H. apply k_seal; [apply k_client, k_own|]. apply k_pair; [apply k_label|exact H]. Qed.
End Overheard.

Section Honest.
Variable table : nat -> bool.
Variable here : nat.
(** Evidence of instance 0 for client c's own session, which it has with that instance, passes. *)
Lemma passes out tr c j : In (Attest 0 j 0 (Client c) (Nonce c)) tr -> In (Certify 0) tr ->
  verified table false (without out) tr c (Enclave j) (Tls 0).
Proof.
  intros A C. exists good, (Public (Tls 0)), (user_data (Public (Receipt 0))), (opening (Nonce c)),
    (Hash (Public (Tls 0))), (Exporter (Session (Client c) (Enclave j) (Tls 0)) (Nonce c)).
  assert (D := k_message table tr _ _ A (or_introl eq_refl)).
  split; [exists (Leaf 0)|auto]. split; [|split; [intros|split; [discriminate|reflexivity]]].
  - unfold signed. destruct (c_signature _); [exact D|eapply k_read; exact D].
  - exact (k_message table tr _ _ C (or_introl eq_refl)).
Qed.

(** An honest session up to the release of its first request. *)
Definition honest := [Release 0 0 here (Owner 0) (Enclave 0) (Tls 0); Attest 0 0 0 (Client 0) (Nonce 0);
  Connect 0 (Enclave 0) (Tls 0); Accept 0 0 (Client 0); Certify 0].
Lemma honest_reached out : reach table false (without out) honest.
Proof.
  unfold honest. run; [apply s_certify|apply s_accept; absent|..].
  - apply s_connect; [absent|intros; msg].
  - apply s_attest; [simpl; auto|absent|absent|msg].
  - apply s_release; [simpl; auto|absent|apply passes; simpl; auto 10].
Qed.

(** ... and one in which owner 0's tool, as client 1, hands a credential for that provider over. *)
Definition provisioned := [Provision 1 0 here 0 (Enclave 1) (Tls 0); Attest 0 1 0 (Client 1) (Nonce 1);
  Connect 1 (Enclave 1) (Tls 0); Accept 1 0 (Client 1)] ++ honest.
Lemma provisioned_reached out : reach table false (without out) provisioned.
Proof.
  onto @honest_reached.
  - apply s_accept; absent.
  - apply s_connect; [absent|intros; msg].
  - apply s_attest; [simpl; auto|absent|absent|msg].
  - apply s_provision; [simpl; auto|intros; apply passes; simpl; auto 10].
Qed.
End Honest.
