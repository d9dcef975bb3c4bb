(** Custody: a grant is taken only in the custody that the client stated for that request. *)
Load Setting.
Notation waiting_of en r := (b_waiting Word (e_books B Rules M Word en) r).
Notation requests_of en := (b_requests Word (e_books B Rules M Word en)).

(** The custody of the plan that a request runs under. *)
Definition stated (s : option slot) := option_map (fun s => p_custody _ _ (s_plan _ _ _ s)) s.

(** Every open question asks in the custody of its request's plan. *)
Definition true_to (en : enclave) := forall r w, waiting_of en r = Some w ->
  r <= requests_of en /\ stated (e_slots _ _ _ _ en r) = Some (w_custody w).

Lemma true_same (en en' : enclave) : true_to en ->
  (forall r w', waiting_of en' r = Some w' -> exists w, waiting_of en r = Some w /\ w_custody w = w_custody w') ->
  requests_of en' = requests_of en ->
  (forall r, stated (e_slots _ _ _ _ en' r) = stated (e_slots _ _ _ _ en r)) -> true_to en'.
Proof.
  intros T W R S r w' H. destruct (W r w' H) as (w & H' & <-). rewrite R, S. apply T, H'.
Qed.

Lemma settle_waits (b : books Word) u : b_waiting _ (settle _ b u) = b_waiting _ b /\
  b_requests _ (settle _ b u) = b_requests _ b.
Proof. unfold settle. destruct (holds _ _); auto. Qed.
Lemma give_up_waits (b : books Word) q r w' : b_waiting _ (give_up _ b q) r = Some w' ->
  exists w, b_waiting _ b r = Some w /\ w_custody w = w_custody w'.
Proof.
  unfold give_up. destruct (b_waiting _ b q) as [w|] eqn:Q; [|eauto]. simpl. unfold set.
  destruct (Nat.eqb_spec r q) as [->|N]; [|eauto]. intros E; inv E. eauto.
Qed.
Lemma give_up_number (b : books Word) q : b_requests _ (give_up _ b q) = b_requests _ b.
Proof. unfold give_up. destruct (b_waiting _ b q); auto. Qed.
Lemma mail_stated (e : event) s : stated (option_map (mail _ _ _ e) s) = stated s.
Proof. destruct s; reflexivity. Qed.

Lemma live_true (en : enclave) now q s x e (en' : enclave) o : true_to en ->
  stated (e_slots _ _ _ _ en q) = stated (Some s) \/ waiting_of en q = None ->
  live en now q s x e = (en', o) -> true_to en'.
Proof.
  intros T Q. unfold Machines.live, close.
  destruct (Machines.exchange _ _ _ _ _ _ _ _ _ _ _ _ _ _ _) as [[y a] u].
  intros H r w W.
  assert (E : waiting_of en r = Some w /\ requests_of en' = requests_of en /\
    e_slots _ _ _ _ en' = set (e_slots _ _ _ _ en) q
      (Some (Build_slot _ _ _ (s_session _ _ _ s) (s_plan _ _ _ s) (Running y)))).
  { destruct u as [u|]; inv H; simpl in *; auto.
    destruct (settle_waits (e_books _ _ _ _ en) u) as [E1 E2]. rewrite E1 in W. rewrite E2. auto. }
  destruct E as (W' & R & S). destruct (T r w W') as [L C]. rewrite R, S. split; [exact L|].
  unfold set. destruct (Nat.eqb_spec r q) as [->|N]; [|exact C].
  destruct Q as [Q|Q]; [rewrite Q in C; exact C|congruence].
Qed.
Lemma drop_true (en : enclave) q k (en' : enclave) o : true_to en ->
  drop_asked B Rules M Word no_word en q k = (en', o) ->
  true_to en' /\ e_slots _ _ _ _ en' = e_slots _ _ _ _ en.
Proof.
  intros T D. split.
  - eapply true_same; [exact T|..]; unfold drop_asked, close in D.
    + intros r w W. destruct k as [[]|]; inv D; simpl in W;
        rewrite ?(proj1 (settle_waits _ _)) in W; eapply give_up_waits; eauto.
    + destruct k as [[]|]; inv D; simpl; rewrite ?(proj2 (settle_waits _ _)); apply give_up_number.
    + destruct k as [[]|]; inv D; reflexivity.
  - unfold drop_asked, close in D. destruct k as [[]|]; inv D; reflexivity.
Qed.
Lemma down_true (en : enclave) : true_to (down _ _ _ _ en).
Proof. intros r w W. discriminate. Qed.

Lemma question_true (en : enclave) now s p n k (en' : enclave) o : true_to en ->
  question en now s p n k = (en', o) -> true_to en'.
Proof.
  intros T. unfold Machines.question.
  assert (F : waiting_of en (S (requests_of en)) = None).
  { destruct (waiting_of en (S (requests_of en))) as [w|] eqn:W; [|reflexivity].
    destruct (T _ _ W); lia. }
  assert (T1 : true_to (book _ _ _ _ en (number _ (e_books _ _ _ _ en)))).
  { intros r w W. destruct (T r w W) as [L C]. simpl. split; [lia|exact C]. }
  destruct (if e_up _ _ _ _ en then _ else _) as [b|] eqn:A.
  - destruct (e_up _ _ _ _ en); [|discriminate]. unfold authorize in A.
    destruct (room <=? _); inv A. intros H; inv H. intros r w. simpl. unfold set.
    destruct (Nat.eqb_spec r (S (requests_of en))) as [->|N].
    + intros E; inv E. simpl. auto.
    + apply T1.
  - intros L. eapply live_true; [exact T1|right; exact F|exact L].
Qed.

Lemma step_true (en : enclave) now i (en' : enclave) o : true_to en -> step en now i = (en', o) -> true_to en'.
Proof.
  intros T. destruct i as [| |f|s p|q|q|q|q e|q]; unfold Machines.step.
  - intros H; inv H. exact T.
  - intros H; inv H. apply down_true.
  - destruct (e_up _ _ _ _ en); [|intros H; inv H; exact T].
    assert (U : forall q, true_to (book _ _ _ _ en (with_waiting _ (e_books _ _ _ _ en)
      (set (b_waiting _ (e_books _ _ _ _ en)) q None)))).
    { intros q. eapply true_same; [exact T| |reflexivity|reflexivity]. intros r w. simpl. unfold set.
      destruct (r =? q); [discriminate|eauto]. }
    assert (V : forall q e (x : enclave), true_to x -> true_to (deliver _ _ _ _ x q e)).
    { intros q e x X. eapply true_same; [exact X|simpl; eauto|reflexivity|]. intros r. simpl. unfold set.
      destruct (Nat.eqb_spec r q) as [->|N]; [apply mail_stated|reflexivity]. }
    destruct f as [q g c|q code wait|g]; unfold receive.
    + destruct (b_waiting _ (e_books _ _ _ _ en) q) as [w|]; [|intros H; inv H; apply down_true].
      destruct (_ || _); [intros H; inv H; apply down_true|].
      destruct (w_given_up w); intros H; inv H.
      * eapply true_same; [exact (U q)|..]; simpl; rewrite ?(proj1 (settle_waits _ _)),
          ?(proj2 (settle_waits _ _)); simpl; eauto.
      * apply V. eapply true_same; [exact (U q)|..]; simpl; eauto.
    + destruct (b_waiting _ (e_books _ _ _ _ en) q) as [w|]; [|intros H; inv H; apply down_true].
      destruct (w_given_up w); intros H; inv H; [apply U|apply V, U].
    + destruct (owes _ _ _); intros H; inv H; [|apply down_true].
      eapply true_same; [exact T|..]; simpl; eauto.
  - apply question_true, T.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|[]]]|] eqn:Q; try (intros H; inv H; exact T).
    apply question_true. eapply true_same; [exact T|simpl; eauto|reflexivity|]. intros r. simpl.
    unfold set. destruct (Nat.eqb_spec r q) as [->|N]; [rewrite Q|]; reflexivity.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k [e|]|x]]|] eqn:Q; try (intros H; inv H; exact T).
    destruct (drop_asked _ _ _ _ _ en q None) as [en1 o1] eqn:D.
    destruct (live en1 now q _ (Asked _ n k) e) as [en2 o2] eqn:L. intros H; inv H.
    destruct (drop_true _ _ _ _ _ T D) as [T1 E].
    refine (live_true _ _ _ _ _ _ _ _ T1 _ L). left. rewrite E, Q. reflexivity.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q; try (intros H; inv H; exact T).
    destruct (drop_asked _ _ _ _ _ en q m) as [en1 o1] eqn:D.
    destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. intros H; inv H.
    destruct (drop_true _ _ _ _ _ T D) as [T1 E].
    refine (live_true _ _ _ _ _ _ _ _ T1 _ L). left. rewrite E, Q. reflexivity.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q; try (intros H; inv H; exact T).
    intros L. refine (live_true _ _ _ _ _ _ _ _ T _ L). left. rewrite Q. reflexivity.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q; try (intros H; inv H; exact T).
    + destruct (drop_asked _ _ _ _ _ en q m) as [en1 o1] eqn:D.
      destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. intros H; inv H.
      destruct (drop_true _ _ _ _ _ T D) as [T1 E].
      refine (live_true _ _ _ _ _ _ _ _ T1 _ L). left. rewrite E, Q. reflexivity.
    + intros L. refine (live_true _ _ _ _ _ _ _ _ T _ L). left. rewrite Q. reflexivity.
Qed.

(** In every run: a frame that grants request r does so in the custody of r's plan. *)
Theorem custody_as_stated is (en : enclave) o now f (en' : enclave) o' r g :
  run boot is = (en, o) -> step en now (FromHost _ _ f) = (en', o') ->
  In (Accepted _ _ _ r g) o' -> exists c s,
    f = Grant r g c /\ e_slots _ _ _ _ en r = Some s /\ p_custody _ _ (s_plan _ _ _ s) = c.
Proof.
  intros R H I. assert (T : true_to en).
  { assert (G : forall (x y : enclave) o, true_to x -> run x is = (y, o) -> true_to y).
    { clear. induction is as [|[t i] is IH]; simpl; intros x y z X E; [inv E; exact X|].
      destruct (step x t i) as [e1 o1] eqn:E1. destruct (run e1 is) as [e2 o2] eqn:E2. inv E.
      eapply IH; [eapply step_true; eauto|exact E2]. }
    eapply G; [|exact R]. intros q w W. discriminate. }
  unfold Machines.step in H. destruct (e_up _ _ _ _ en); [|inv H; contradiction].
  destruct f as [q n c|q code wait|n]; unfold receive in H.
  - destruct (b_waiting _ (e_books _ _ _ _ en) q) as [w|] eqn:W;
      [|inv H; destruct I as [I|[]]; discriminate].
    destruct (Nat.eqb_spec (w_custody w) c) as [C|]; [|inv H; destruct I as [I|[]]; discriminate].
    simpl in H. destruct (owes _ _ _ || holds _ _); [inv H; destruct I as [I|[]]; discriminate|].
    assert (E : r = q /\ g = n).
    { destruct (w_given_up w); inv H; simpl in I; repeat destruct I as [I|I];
        try discriminate; try contradiction; inv I; auto. }
    destruct E as [-> ->]. destruct (T q w W) as [_ S].
    destruct (e_slots _ _ _ _ en q) as [s|]; [|discriminate]. injection S as S.
    exists c, s. repeat split; auto. congruence.
  - exfalso. destruct (b_waiting _ (e_books _ _ _ _ en) q) as [w|]; [destruct (w_given_up w)|];
      inv H; simpl in I; try destruct I as [I|[]]; try discriminate; contradiction.
  - exfalso. destruct (owes _ _ _); inv H; simpl in I; try destruct I as [I|[]]; try discriminate; contradiction.
Qed.
End OfMachines.
