(** What appears when checks are taken out: for each, a run that does what the claims exclude.
    And that the claims are not empty: a run in which everything is honest ends well. *)
Require Import List Bool Arith.
Require Import Protocol ProtocolClaims.
Import ListNotations.

Section Attacks.
Variable table : nat -> bool.
Variables here evil : nat.                        (* a provider of the table, and none *)
Hypothesis in_table : table here = true.
Hypothesis not_in_table : table evil = false.

(** The adversary knows a request that was released, although no session was open in an instance
    when it was broken into. *)
Definition broken careless g : Prop := exists tr c q d y k,
  reach table careless g tr /\ In (Release c q d y k) tr /\ known table tr (Request c q) /\
  forall j, ~ caught tr j.
(** ... and although no key was stolen, either. *)
Definition unaided (tr : list event) : Prop := forall i, ~ In (StealTls i) tr.
Definition badly_broken careless g : Prop := exists tr c q d y k,
  reach table careless g tr /\ In (Release c q d y k) tr /\ known table tr (Request c q) /\
  (forall j, ~ caught tr j) /\ unaided tr.

Theorem sound_not_broken careless g : sound g -> ~ broken careless g.
Proof.
  intros S (tr & c & q & d & y & k & R & L & D & N).
  destruct (released_to_the_image table careless g S tr c q d y k R L) as (j & i & -> & -> & _).
  exact (request_secret table careless g S tr c q d j i R L (N j) D).
Qed.

Lemma said tr m : In m (flat_map (messages table) tr) -> known table tr m.
Proof. intros H. apply in_flat_map in H as (e & E & M). eapply k_message; eauto. Qed.

(** Tactics: step through a run; find a message in it; derive a term. *)
Ltac rewrites := rewrite ?in_table, ?not_in_table.
Ltac msg := apply said; simpl; rewrites; simpl; repeat (first [left; reflexivity | right]); fail.
Ltac absent := unfold unaided, not; simpl; intros; intuition discriminate.
Ltac derive := first [msg | constructor; derive].
Ltac fact := first [absent | discriminate | reflexivity | simpl; auto 10; fail | derive].
Ltac run := repeat (apply r_cons); [apply r_nil|..].
Ltac never := let H := fresh in intros j0 H; repeat match goal with
  | C : caught _ _ |- _ => inversion C; clear C; subst end; simpl in *; intuition congruence.

(** The adversary's end of a session opens what the client sealed in it. *)
Lemma eavesdrop tr m k c n : known table tr (Seal (Session (Client c) (Own n) k) m) ->
  known table tr m.
Proof. intros H. eapply k_unseal; [exact H|]. apply k_server, k_own. Qed.
Lemma overheard tr c q d n k :
  In (Release c q d (Own n) k) tr -> known table tr (Request c q).
Proof.
  intros H. apply (k_second table tr (Num d)), (k_second table tr (Num q)), (k_second table tr (Label LAsk)).
  eapply eavesdrop. eapply k_message; [exact H|simpl; eauto].
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

(** What all the attacks on secrecy share: client 0 releases to the adversary's end of its session. *)
Lemma attack careless g tr k : let now := Release 0 0 here (Own 0) k :: tr in
  reach table careless g tr -> In (Connect 0 (Own 0) k) tr -> verified table careless g tr 0 (Own 0) k ->
  (forall d y k', ~ In (Release 0 0 d y k') tr) -> (forall j, ~ caught now j) -> unaided now ->
  badly_broken careless g.
Proof.
  intros now R C V F N U. exists now, 0, 0, here, (Own 0), k.
  split; [|repeat split; simpl; auto; eapply overheard; simpl; eauto].
  apply r_cons; auto. apply s_release; auto.
Qed.
Ltac shows m pk user o s e lk := exists m, pk, user, o, s, e; split;
  [exists lk; split; [simpl|simpl; repeat split; intros; try discriminate; try reflexivity; try msg]
  |simpl; repeat split; intros; try discriminate; reflexivity].

(** Signature: the adversary writes the document itself. *)
Theorem attack_signature : badly_broken false (without [Signature]).
Proof.
  set (f := Forged 0).
  apply attack with (tr := [Connect 0 (Own 0) f; Certify 0]) (k := f); simpl; auto; [| |absent|never|absent].
  - run; [apply s_certify|]. apply s_connect; [absent|intros; derive].
  - shows good (Public f) (Num 0) (opening (Nonce 0)) (Hash (Public f))
      (Exporter (Session (Client 0) (Own 0) f) (Nonce 0)) (Leaf 0).
    repeat apply k_pair; try derive. apply mine_made; simpl; auto.
Qed.

(** Chain: ... and signs it with a leaf of its own. *)
Theorem attack_chain : badly_broken false (without [Chain]).
Proof.
  set (f := Forged 0).
  apply attack with (tr := [Connect 0 (Own 0) f]) (k := f); simpl; auto; [| |absent|never|absent].
  - run. apply s_connect; [absent|intros; derive].
  - shows good (Public f) (Num 0) (opening (Nonce 0)) (Hash (Public f))
      (Exporter (Session (Client 0) (Own 0) f) (Nonce 0)) (Forged 1).
    apply k_sign; [apply k_forged|]. repeat apply k_pair; try derive. apply mine_made; simpl; auto.
Qed.

(** Measurements: another image under the same root has evidence made for the adversary's session. *)
Theorem attack_pcrs : badly_broken false (without [Pcrs]).
Proof.
  set (f := Forged 0).
  apply attack with (tr := [Other 0 7 (Public f) (Num 0) (mine f); Connect 0 (Own 0) f; Certify 0]) (k := f);
    simpl; auto; [| |absent|never|absent].
  - run; [apply s_certify| |].
    + apply s_connect; [absent|intros; derive].
    + apply s_other; [discriminate|derive|derive|apply mine_made; simpl; auto].
  - shows 7 (Public f) (Num 0) (opening (Nonce 0)) (Hash (Public f))
      (Exporter (Session (Client 0) (Own 0) f) (Nonce 0)) (Leaf 0). msg.
Qed.

(** Debug: the same with a debug enclave, where the policy was made from one. *)
Theorem attack_debug : badly_broken true (without [Debug]).
Proof.
  set (f := Forged 0).
  apply attack with (tr := [Other 0 debug (Public f) (Num 0) (mine f); Connect 0 (Own 0) f; Certify 0]) (k := f);
    simpl; auto; [| |absent|never|absent].
  - run; [apply s_certify| |].
    + apply s_connect; [absent|intros; derive].
    + apply s_other; [discriminate|derive|derive|apply mine_made; simpl; auto].
  - shows debug (Public f) (Num 0) (opening (Nonce 0)) (Hash (Public f))
      (Exporter (Session (Client 0) (Own 0) f) (Nonce 0)) (Leaf 0). msg.
Qed.

(** Evidence of the instance for client 0's opening, asked for in a session of the adversary's. *)
Notation relayed n := (Attest 0 0 0 (Own 1) n).
Ltac shows_relayed n := shows good (Public (Tls 0)) (user_data (Public (Receipt 0))) (opening n)
  (Hash (Public (Tls 0))) (Exporter (Session (Own 1) (Enclave 0) (Tls 0)) n) (Leaf 0); msg.

(** Exporter: with the TLS key alone, stolen from a running instance, the adversary stands between
    client and instance and passes the evidence on. *)
Theorem attack_exporter : broken false (without [ByExporter]).
Proof.
  exists [Release 0 0 here (Own 0) (Tls 0); relayed (Nonce 0); Accept 0 0 (Own 1);
    Connect 0 (Own 0) (Tls 0); StealTls 0; Certify 0], 0, 0, here, (Own 0), (Tls 0).
  split; [|repeat split; [simpl; auto|eapply overheard; simpl; eauto|never]].
  run; [apply s_certify|apply s_steal|..].
  - apply s_connect; [absent|]. intros _. apply k_sign; [msg|apply k_hellos].
  - apply s_accept; absent.
  - apply s_attest; [simpl; auto|absent|absent|]. apply own_opening. eapply nonce_heard; simpl; eauto.
  - apply s_release; [simpl; auto|absent|]. shows_relayed (Nonce 0).
Qed.

(** Handshake and exporter: the adversary shows the instance's certificate without its key. *)
Theorem attack_handshake : badly_broken false (without [Handshake; ByExporter]).
Proof.
  apply attack with (tr := [relayed (Nonce 0); Accept 0 0 (Own 1); Connect 0 (Own 0) (Tls 0); Certify 0])
    (k := Tls 0); simpl; auto; [| |absent|never|absent].
  - run; [apply s_certify| | |].
    + apply s_connect; [absent|discriminate].
    + apply s_accept; absent.
    + apply s_attest; [simpl; auto|absent|absent|]. apply own_opening. eapply nonce_heard; simpl; eauto.
  - shows_relayed (Nonce 0).
Qed.

(** Nothing that names the TLS key: evidence of the instance, for a session with another key. *)
Theorem attack_key : badly_broken false (without [Spki; ByExporter; PublicKey]).
Proof.
  apply attack with (tr := [relayed (Nonce 0); Accept 0 0 (Own 1); Connect 0 (Own 0) (Forged 0); Certify 0])
    (k := Forged 0); simpl; auto; [| |absent|never|absent].
  - run; [apply s_certify| | |].
    + apply s_connect; [absent|intros; derive].
    + apply s_accept; absent.
    + apply s_attest; [simpl; auto|absent|absent|]. apply own_opening. eapply nonce_heard; simpl; eauto.
  - shows_relayed (Nonce 0).
Qed.

(** Nothing fresh in the nonce: evidence from before an instance was broken into, shown again. *)
Theorem attack_replay : badly_broken false (without [Opening; ByExporter]).
Proof.
  apply attack with (tr := [Connect 0 (Own 0) (Tls 0); Reveal 0; Ended 0; relayed (Num 0);
    Accept 0 0 (Own 1); Certify 0]) (k := Tls 0); simpl; auto; [| |absent|never|absent].
  - run; [apply s_certify| | | | |].
    + apply s_accept; absent.
    + apply s_attest; [simpl; auto|absent|absent|]. apply own_opening, k_num.
    + apply s_ended.
    + apply s_reveal.
    + apply s_connect; [absent|]. intros _. apply k_sign; [msg|apply k_hellos].
  - shows_relayed (Num 0).
Qed.

(** User data: an auditor takes the adversary's key for the enclave's receipt key. *)
Theorem attack_user_data : exists tr, reach table false (without [UserData]) tr /\ unaided tr /\
  audited table false (without [UserData]) tr (Public (Forged 0)).
Proof.
  exists [relayed (Num 0); Accept 0 0 (Own 1); Certify 0]. split; [|split; [absent|]].
  - run; [apply s_certify|apply s_accept; absent|].
    apply s_attest; [simpl; auto|absent|absent|]. apply own_opening, k_num.
  - eexists good, _, _, _. split; [|simpl; discriminate].
    exists (Leaf 0); split; [simpl; msg|simpl; repeat split; intros; try discriminate; try msg].
Qed.

(** An honest session up to the release of its first request. *)
Definition honest := [Release 0 0 here (Enclave 0) (Tls 0); Attest 0 0 0 (Client 0) (Nonce 0);
  Connect 0 (Enclave 0) (Tls 0); Accept 0 0 (Client 0); Certify 0].
Lemma honest_reached out : reach table false (without out) honest.
Proof.
  unfold honest. run; [apply s_certify|apply s_accept; absent|..].
  - apply s_connect; [absent|intros; msg].
  - apply s_attest; [simpl; auto|absent|absent|msg].
  - apply s_release; [simpl; auto|absent|].
    exists good, (Public (Tls 0)), (user_data (Public (Receipt 0))), (opening (Nonce 0)),
      (Hash (Public (Tls 0))), (Exporter (Session (Client 0) (Enclave 0) (Tls 0)) (Nonce 0)).
    split; [exists (Leaf 0)|auto]. split; [|split; [intros; msg|split; [discriminate|reflexivity]]].
    unfold signed. destruct (c_signature _); [msg|].
    eapply k_read. apply said. simpl. left. reflexivity.
Qed.

(** Table: a host that may name the destination reads the request there. *)
Theorem attack_table : badly_broken false (without [Table]).
Proof.
  exists (Serve 0 0 (Client 0) 0 evil (Request 0 0) :: honest), 0, 0, here, (Enclave 0), (Tls 0).
  split; [|repeat split; [simpl; auto|msg|never|absent]].
  apply r_cons; [apply honest_reached|].
  apply s_serve with (d := here); [simpl; auto|absent|absent|msg|discriminate|absent].
Qed.

(** Record numbers: a host that may show a record twice has the request served twice. *)
Theorem attack_once : exists again earlier, reach table false (without [Once]) (again :: earlier) /\
  again = Serve 0 0 (Client 0) 0 here (Request 0 0) /\ In again earlier.
Proof.
  exists (Serve 0 0 (Client 0) 0 here (Request 0 0)),
    (Serve 0 0 (Client 0) 0 here (Request 0 0) :: honest).
  split; [|simpl; auto].
  apply r_cons; [apply r_cons; [apply honest_reached|]|];
    (apply s_serve with (d := here); [simpl; auto 10|absent|absent|msg|auto|discriminate]).
Qed.

(** The claims are not empty: with every check in place an honest run ends with the answer. *)
Theorem honest_run : exists tr, reach table false (without []) tr /\
  In (Serve 0 0 (Client 0) 0 here (Request 0 0)) tr /\ In (Got 0 0 (Answer 0 0)) tr.
Proof.
  exists (Got 0 0 (Answer 0 0) :: Serve 0 0 (Client 0) 0 here (Request 0 0) :: honest).
  split; [|simpl; auto].
  apply r_cons; [apply r_cons; [apply honest_reached|]|].
  - apply s_serve with (d := here); [simpl; auto 10|absent|absent|msg|auto|absent].
  - apply s_got with (d := here) (y := Enclave 0) (k := Tls 0); [simpl; auto|msg].
Qed.
End Attacks.
