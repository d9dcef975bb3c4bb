(** What appears when checks are taken out: for each, a run that does what the claims exclude.
    And that the claims are not empty: a run in which everything is honest ends well. *)
Require Import List Bool Arith.
Require Import Protocol ProtocolClaims Runs.
Import ListNotations.

Section Attacks.
Variable table : nat -> bool.
Variables here evil : nat.                        (* a provider of the table, and none *)
Hypothesis in_table : table here = true.
Hypothesis not_in_table : table evil = false.

Notation honest := (honest here).

(** The adversary knows a request that was released, although no session was open in an instance
    when it was broken into. *)
Definition broken careless g : Prop := exists tr c q d o y k,
  reach table careless g tr /\ In (Release c q d o y k) tr /\ known table tr (Request c q) /\
  forall j, ~ caught tr j.
Definition badly_broken careless g : Prop := exists tr c q d o y k,
  reach table careless g tr /\ In (Release c q d o y k) tr /\ known table tr (Request c q) /\
  (forall j, ~ caught tr j) /\ unaided tr.

Theorem sound_not_broken careless g : sound g -> ~ broken careless g.
Proof.
  intros S (tr & c & q & d & o & y & k & R & L & D & N).
  destruct (released_to_the_image table careless g S tr c q d o y k R L) as (j & i & -> & -> & _).
  exact (request_secret table careless g S tr c q d o j i R L (N j) D).
Qed.

(** What all the attacks on secrecy share: client 0 releases to the adversary's end of its session. *)
Lemma attack careless g tr k : let now := Release 0 0 here (Owner 0) (Own 0) k :: tr in
  reach table careless g tr -> In (Connect 0 (Own 0) k) tr -> verified table careless g tr 0 (Own 0) k ->
  (forall d o y k', ~ In (Release 0 0 d o y k') tr) -> (forall j, ~ caught now j) -> unaided now ->
  badly_broken careless g.
Proof.
  intros now R C V F N U. exists now, 0, 0, here, (Owner 0), (Own 0), k.
  split; [|repeat split; simpl; auto; eapply overheard; simpl; eauto].
  apply r_cons; auto. apply s_release; auto.
Qed.
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

(** Exporter: with the TLS key alone, stolen from a running instance, the adversary stands between
    client and instance and passes the evidence on. *)
Theorem attack_exporter : broken false (without [ByExporter]).
Proof.
  exists [Release 0 0 here (Owner 0) (Own 0) (Tls 0); relayed (Nonce 0); Accept 0 0 (Own 1);
    Connect 0 (Own 0) (Tls 0); StealTls 0; Certify 0], 0, 0, here, (Owner 0), (Own 0), (Tls 0).
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

(** Table: a host that may name the destination reads the request there. *)
Theorem attack_table : badly_broken false (without [Table]).
Proof.
  exists (Serve 0 0 (Client 0) 0 evil (Request 0 0) :: honest), 0, 0, here, (Owner 0), (Enclave 0), (Tls 0).
  split; [|repeat split; [simpl; auto|msg|never|absent]].
  onto @honest_reached.
  apply s_serve with (d := here) (o := Owner 0); [simpl; auto|absent|absent|msg|discriminate|absent].
Qed.

(** Record numbers: a host that may show a record twice has the request served twice. *)
Theorem attack_once : exists again earlier, reach table false (without [Once]) (again :: earlier) /\
  again = Serve 0 0 (Client 0) 0 here (Request 0 0) /\ In again earlier.
Proof.
  exists (Serve 0 0 (Client 0) 0 here (Request 0 0)),
    (Serve 0 0 (Client 0) 0 here (Request 0 0) :: honest).
  split; [|simpl; auto].
  onto @honest_reached;
    (apply s_serve with (d := here) (o := Owner 0); [simpl; auto 10|absent|absent|msg|auto|discriminate]).
Qed.

(** The claims are not empty: with every check in place an honest run ends with the answer. *)
Theorem honest_run : exists tr, reach table false (without []) tr /\
  In (Serve 0 0 (Client 0) 0 here (Request 0 0)) tr /\ In (Got 0 0 (Answer 0 0)) tr.
Proof.
  exists (Got 0 0 (Answer 0 0) :: Serve 0 0 (Client 0) 0 here (Request 0 0) :: honest).
  split; [|simpl; auto].
  onto @honest_reached.
  - apply s_serve with (d := here) (o := Owner 0); [simpl; auto 10|absent|absent|msg|auto|absent].
  - apply s_got with (d := here) (o := Owner 0) (y := Enclave 0) (k := Tls 0); [simpl; auto|msg].
Qed.
End Attacks.
