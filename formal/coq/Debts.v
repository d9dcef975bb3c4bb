(** What was told of a grant is owed to the ledger until it is acknowledged: the usage of a closing
    goes on the list of `Control::unacknowledged`, and only an `Ack` of its number takes it off. *)
Require Import Relay.
Load Setting.
Notation granted en := (b_granted Word (e_books B Rules M Word en)).
Notation owed en := (b_owed Word (e_books B Rules M Word en)).

(** The grant that a request holds: in its mailbox or in its exchange. *)
Definition held_by (x : state) := match x with
  | Sent _ _ g _ | Relaying _ g _ _ _ _ => Some g | _ => None end.
Definition grip (s : option slot) := match s with
  | Some {| s_phase := Machines.Asking _ _ _ _ (Some (Granted _ g)) |} => Some g
  | Some {| s_phase := Machines.Running _ _ x |} => held_by x
  | _ => None
  end.

(** Whatever is held is on the books, and by one request only. *)
Definition tidy (l : list nat) (held : nat -> option nat) :=
  (forall r g, held r = Some g -> In g l) /\
  (forall r r' g, held r = Some g -> held r' = Some g -> r = r').
Definition tidy_in (en : enclave) := tidy (granted en) (fun r => grip (e_slots _ _ _ _ en r)).

Lemma tidy_fewer l h h' : tidy l h -> (forall r, h' r = None \/ h' r = h r) -> tidy l h'.
Proof.
  intros [A U] E. split.
  - intros r g H. destruct (E r); rewrite H in *; [discriminate|eauto].
  - intros r r' g H H'. destruct (E r), (E r'); rewrite H, ?H' in *; try discriminate; eauto.
Qed.
Lemma tidy_settled l h h' q g : tidy l h -> h q = Some g -> h' q = None ->
  (forall r, r <> q -> h' r = h r) -> tidy (remove Nat.eq_dec g l) h'.
Proof.
  intros [A U] Q N E. split.
  - intros r x H. destruct (Nat.eq_dec r q) as [->|D]; [congruence|]. rewrite (E r D) in H.
    apply in_in_remove; [|eauto]. intros ->. apply D. eauto.
  - intros r r' x H H'. destruct (Nat.eq_dec r q) as [->|D]; [congruence|].
    destruct (Nat.eq_dec r' q) as [->|D']; [congruence|]. rewrite E in H, H'; eauto.
Qed.
Lemma tidy_granted l h h' q g : tidy l h -> ~ In g l ->
  (forall r, r <> q -> h' r = h r) -> (h' q = Some g \/ h' q = h q) -> tidy (g :: l) h'.
Proof.
  intros [A U] N E Q. split.
  - intros r x H. simpl. destruct (Nat.eq_dec r q) as [->|D]; [|rewrite E in H; eauto].
    destruct Q as [Q|Q]; rewrite Q in H; [left; congruence|eauto].
  - intros r r' x H H'.
    destruct (Nat.eq_dec r q) as [->|D], (Nat.eq_dec r' q) as [->|D']; auto;
      try (rewrite E in H by auto); try (rewrite E in H' by auto); eauto.
    + destruct Q as [Q|Q]; rewrite Q in H; [|eauto]. inv H. exfalso. eauto.
    + destruct Q as [Q|Q]; rewrite Q in H'; [|eauto]. inv H'. exfalso. eauto.
Qed.
Lemma holds_in g l : holds g l = true <-> In g l.
Proof.
  unfold holds. rewrite existsb_exists. split; [intros (x & I & E); apply Nat.eqb_eq in E; subst; auto|].
  intros I. exists g. split; [auto|apply Nat.eqb_refl].
Qed.

(** * A closing puts its usage on the list *)
Definition listed (en : enclave) (o : list output) := forall r u, In (Closing _ _ _ r u) o -> In u (owed en).

Lemma settled_books (b : books Word) u : In (u_grant _ u) (b_granted _ b) ->
  b_granted _ (settle _ b u) = remove Nat.eq_dec (u_grant _ u) (b_granted _ b) /\
  b_owed _ (settle _ b u) = u :: b_owed _ b.
Proof. intros I. unfold settle. rewrite (proj2 (holds_in _ _) I). auto. Qed.

(** An exchange tells of the grant that it held, and holds none then. *)
Lemma exchange_grip p now x e y a u : exchange p now x e = (y, a, u) ->
  match u with
  | Some u => held_by x = Some (u_grant _ u) /\ held_by y = None
  | None => held_by y = held_by x \/ (exists n k, x = Asked _ n k) /\
      exists g, e = Granted _ g /\ held_by y = Some g
  end.
Proof.
  intros H. destruct x as [n [[|rr]|]|n g t|g t c f m|n k| |]; destruct e; simpl in H;
    try (unfold sent in H; simpl in H; repeat match type of H with
      context [if ?b then _ else _] => destruct b end);
    inv H; simpl; auto; try (right; split; eauto; fail);
    try (unfold answered; destruct (told _ _) as [[[] ]|]; simpl; auto; fail).
Qed.

Lemma live_tidy (en : enclave) now q s x e (en' : enclave) o l : tidy l
    (fun r => if r =? q then held_by x else grip (e_slots _ _ _ _ en r)) ->
  granted en = l -> (forall g, e = Granted _ g -> forall n k, x <> Asked _ n k) ->
  live en now q s x e = (en', o) -> tidy_in en' /\ listed en' o.
Proof.
  intros T L N. unfold Machines.live. destruct (exchange (s_plan _ _ _ s) now x e) as [[y a] u] eqn:X.
  apply exchange_grip in X. destruct u as [u|]; unfold close; intros H; inv H.
  - destruct X as [X Y]. assert (I : In (u_grant _ u) (granted en)).
    { destruct T as [A _]. apply (A q). rewrite Nat.eqb_refl. exact X. }
    destruct (settled_books (e_books _ _ _ _ en) u I) as [G O]. split.
    + unfold tidy_in. simpl. rewrite G. eapply tidy_settled with (q := q); [exact T|..]; simpl.
      * rewrite Nat.eqb_refl. exact X.
      * unfold set. rewrite Nat.eqb_refl. exact Y.
      * intros r D. unfold set. rewrite (proj2 (Nat.eqb_neq r q) D). reflexivity.
    + intros r v [E|E]; [inv E; simpl; rewrite O; simpl; auto|].
      exfalso. destruct a, e; simpl in E; destruct E as [E|[]]; discriminate.
  - split.
    + unfold tidy_in. simpl. eapply tidy_fewer; [exact T|]. intros r. simpl. unfold set.
      destruct (r =? q); [|auto]. right. simpl.
      destruct X as [X|((n & k & ->) & g & -> & _)]; [exact X|]. exfalso. eapply N; reflexivity.
    + intros r v E. exfalso. destruct a, e; simpl in E; destruct E as [E|[]]; discriminate.
Qed.

Lemma live_taken (en : enclave) now q s n k g (en' : enclave) o : tidy_in en ->
  grip (e_slots _ _ _ _ en q) = Some g -> live en now q s (Asked _ n k) (Granted _ g) = (en', o) ->
  tidy_in en' /\ listed en' o.
Proof.
  intros T G H. unfold Machines.live in H. simpl in H. inv H. split.
  - unfold tidy_in. simpl. eapply tidy_fewer; [exact T|]. intros r. simpl. unfold set.
    destruct (Nat.eqb_spec r q) as [->|D]; [right; rewrite G; reflexivity|auto].
  - intros r v E. exfalso. simpl in E. destruct E as [E|[]]; discriminate.
Qed.

(** Debts stay through settling and asking. *)
Lemma settle_keeps (b : books Word) u v : In v (b_owed _ b) -> In v (b_owed _ (settle _ b u)).
Proof. unfold settle. destruct (holds _ _); simpl; auto. Qed.
Lemma live_keeps (en : enclave) now q s x e (en' : enclave) o v :
  live en now q s x e = (en', o) -> In v (owed en) -> In v (owed en').
Proof.
  unfold Machines.live, close. destruct (exchange (s_plan _ _ _ s) now x e) as [[y a] [u|]];
    intros H I; inv H; simpl; auto using settle_keeps.
Qed.
Lemma given_up_books (b : books Word) q : b_granted _ (give_up _ b q) = b_granted _ b /\
  b_owed _ (give_up _ b q) = b_owed _ b.
Proof. unfold give_up. destruct (b_waiting _ b q); auto. Qed.
Lemma drop_keeps (en : enclave) q k (en' : enclave) o v :
  drop_asked B Rules M Word no_word en q k = (en', o) -> In v (owed en) -> In v (owed en').
Proof.
  unfold drop_asked, close. intros H I. destruct (given_up_books (e_books _ _ _ _ en) q) as [_ O].
  destruct k as [[]|]; inv H; simpl; try apply settle_keeps; rewrite O; exact I.
Qed.

Lemma drop_tidy (en : enclave) q s p n k m (en' : enclave) o : tidy_in en ->
  e_slots _ _ _ _ en q = Some (Build_slot _ _ _ s p (Asking n k m)) ->
  drop_asked B Rules M Word no_word en q m = (en', o) ->
  tidy (granted en') (fun r => if r =? q then None else grip (e_slots _ _ _ _ en' r)) /\ listed en' o.
Proof.
  intros T Q D. destruct (given_up_books (e_books _ _ _ _ en) q) as [G O].
  assert (F : tidy (granted en) (fun r => if r =? q then None else grip (e_slots _ _ _ _ en r))).
  { eapply tidy_fewer; [exact T|]. intros r. simpl. destruct (r =? q); auto. }
  unfold drop_asked, close in D.
  destruct m as [e|]; [destruct e|]; inv D; simpl; rewrite ?G;
    try (split; [exact F|intros r v []]; fail).
  assert (I : In g (granted en)) by (destruct T as [A _]; apply (A q); simpl; rewrite Q; reflexivity).
  destruct (settled_books (give_up _ (e_books _ _ _ _ en) q) (not_dispatched _ no_word g)) as [G' O'];
    [simpl; rewrite G; exact I|]. split.
  - rewrite G', G. eapply tidy_settled with (q := q); [exact T|..]; simpl.
    + rewrite Q. reflexivity.
    + rewrite Nat.eqb_refl. reflexivity.
    + intros r D. rewrite (proj2 (Nat.eqb_neq r q) D). reflexivity.
  - intros r v [E|[]]. inv E. simpl. rewrite O'. simpl; auto.
Qed.

(** A question is dropped, then its exchange hears why. *)
Lemma asked_tidy (en : enclave) now q s p n k m e en1 o1 (en' : enclave) o2 : tidy_in en ->
  e_slots _ _ _ _ en q = Some (Build_slot _ _ _ s p (Asking n k m)) -> (forall g, e <> Granted _ g) ->
  drop_asked B Rules M Word no_word en q m = (en1, o1) ->
  live en1 now q (Build_slot _ _ _ s p (Asking n k None)) (Asked _ n k) e = (en', o2) ->
  tidy_in en' /\ listed en' (o1 ++ o2).
Proof.
  intros T Q N D L. destruct (drop_tidy en q s p n k m en1 o1 T Q D) as [T1 L1].
  destruct (live_tidy en1 now q (Build_slot _ _ _ s p (Asking n k None)) (Asked _ n k) e en' o2 _ T1
    eq_refl) as [T2 L2];
    [intros g E; exfalso; eapply N; eauto|exact L|].
  split; [exact T2|]. intros r v I. apply in_app_or in I as [I|I]; [|eauto].
  eapply live_keeps; [exact L|eauto].
Qed.
Lemma running_tidy (en : enclave) now q s p x e (en' : enclave) o : tidy_in en ->
  e_slots _ _ _ _ en q = Some (Build_slot _ _ _ s p (Running x)) -> (forall n k, x <> Asked _ n k) ->
  live en now q (Build_slot _ _ _ s p (Running x)) x e = (en', o) -> tidy_in en' /\ listed en' o.
Proof.
  intros T Q N L. refine (live_tidy _ _ _ _ _ _ _ _ _ _ eq_refl (fun _ _ => N) L).
  eapply tidy_fewer; [exact T|]. intros r. simpl. destruct (Nat.eqb_spec r q) as [->|D]; [|auto].
  right. rewrite Q. reflexivity.
Qed.

Lemma mail_grip (e : event) s : (forall g, e <> Granted _ g) ->
  grip (option_map (mail _ _ _ e) s) = grip s.
Proof.
  intros N. destruct s as [[s p [n k [m|]|x]]|]; simpl; auto.
  destruct e; auto. exfalso. eapply N; reflexivity.
Qed.
Lemma down_tidy (en : enclave) : tidy_in en -> tidy_in (down _ _ _ _ en).
Proof.
  intros T. eapply tidy_fewer; [exact T|]. intros r. right. simpl.
  destruct (is_waiting _ _ r); [apply mail_grip; discriminate|reflexivity].
Qed.

Lemma frame_tidy (en : enclave) now f (en' : enclave) o : tidy_in en ->
  step en now (FromHost _ _ f) = (en', o) -> tidy_in en' /\ listed en' o.
Proof.
  intros T. unfold Machines.step. destruct (e_up _ _ _ _ en).
  2: { intros H; inv H. split; [exact T|intros r v []]. }
  assert (C : forall r u, ~ In (Closing _ _ _ r u) [Closed B Rules Word])
    by (intros r u [E|[]]; discriminate).
  destruct f as [q g c|q code wait|g]; unfold receive.
  - destruct (b_waiting _ (e_books _ _ _ _ en) q) as [w|].
    2: { intros H; inv H. split; [apply down_tidy, T|intros r v E; exfalso; eapply C; eauto]. }
    destruct (negb _ || owes _ _ _) eqn:W1; simpl.
    { intros H; inv H. split; [apply down_tidy, T|intros r v E; exfalso; eapply C; eauto]. }
    destruct (holds g (granted en)) eqn:W2; simpl.
    { intros H; inv H. split; [apply down_tidy, T|intros r v E; exfalso; eapply C; eauto]. }
    assert (N : ~ In g (granted en)) by (intros I; apply holds_in in I; congruence).
    destruct (w_given_up w); intros H; inv H.
    + split.
      * unfold tidy_in. simpl.
        match goal with |- tidy (b_granted _ (settle _ ?b ?u)) _ =>
          destruct (settled_books b u) as [G _]; [simpl; auto|rewrite G] end. simpl.
        destruct T as [A U]. split; [|exact U]. intros r x Hx.
        destruct (Nat.eq_dec g g) as [_|]; [|contradiction].
        apply in_in_remove; [|eapply A; exact Hx]. intros ->. apply N. eapply A; exact Hx.
      * intros r v [E|[E|[]]]; inv E. simpl.
        match goal with |- In _ (b_owed _ (settle _ ?b ?u)) =>
          destruct (settled_books b u) as [_ O]; [simpl; auto|rewrite O] end. simpl; auto.
    + split.
      * unfold tidy_in. simpl. eapply tidy_granted with (q := q); [exact T|exact N|..]; simpl.
        -- intros r D. unfold set. rewrite (proj2 (Nat.eqb_neq r q) D). reflexivity.
        -- unfold set. rewrite Nat.eqb_refl.
           destruct (e_slots _ _ _ _ en q) as [[s p [n k [m|]|x]]|]; simpl; auto.
      * intros r v [E|[]]; discriminate.
  - destruct (b_waiting _ (e_books _ _ _ _ en) q) as [w|].
    2: { intros H; inv H. split; [apply down_tidy, T|intros r v E; exfalso; eapply C; eauto]. }
    destruct (w_given_up w); intros H; inv H; (split; [|intros r v []]); [exact T|].
    eapply tidy_fewer; [exact T|]. intros r. right. simpl. unfold set.
    destruct (Nat.eqb_spec r q) as [->|D]; [apply mail_grip; discriminate|reflexivity].
  - destruct (owes _ _ _); intros H; inv H.
    + split; [exact T|intros r v []].
    + split; [apply down_tidy, T|intros r v E; exfalso; eapply C; eauto].
Qed.

Notation sane := (sane B Rules M Word).

Lemma question_tidy (en : enclave) now s p n k (en' : enclave) o : tidy_in en ->
  question en now s p n k = (en', o) -> tidy_in en' /\ listed en' o.
Proof.
  intros T. unfold Machines.question. set (q := S (b_requests _ (e_books _ _ _ _ en))).
  destruct (if e_up _ _ _ _ en then _ else _) as [b|] eqn:A.
  - destruct (e_up _ _ _ _ en); [|discriminate]. unfold authorize in A.
    destruct (room <=? _); inv A. intros H; inv H. split; [|intros r v [E|[]]; discriminate].
    eapply tidy_fewer; [exact T|]. intros r. simpl. unfold set. destruct (r =? _); auto.
  - intros L. refine (live_tidy _ _ _ _ _ _ _ _ _ _ eq_refl _ L); [|intros g E; discriminate].
    eapply tidy_fewer; [exact T|]. intros r. simpl. destruct (r =? _); auto.
Qed.
Lemma question_keeps (en : enclave) now s p n k (en' : enclave) o v :
  question en now s p n k = (en', o) -> In v (owed en) -> In v (owed en').
Proof.
  unfold Machines.question. destruct (if e_up _ _ _ _ en then _ else _) as [b|] eqn:A; intros H J.
  - destruct (e_up _ _ _ _ en); [|discriminate]. unfold authorize in A.
    destruct (room <=? _); inv A. inv H. exact J.
  - eapply live_keeps; [exact H|exact J].
Qed.

Lemma step_tidy (en : enclave) now i (en' : enclave) o : sane en -> tidy_in en ->
  step en now i = (en', o) -> tidy_in en' /\ listed en' o.
Proof.
  intros W T. destruct i as [| |f|s p|q|q|q|q e|q].
  - intros H; inv H. split; [exact T|]. intros r v [E|E]; [discriminate|].
    apply in_map_iff in E as (u & E & _); discriminate.
  - intros H; inv H. split; [apply down_tidy, T|intros r v []].
  - apply frame_tidy, T.
  - apply question_tidy, T.
  - unfold Machines.step. destruct (e_slots _ _ _ _ en q) as [[s p [n k m|[]]]|] eqn:Q;
      try (intros H; inv H; split; [exact T|intros r v []]; fail).
    apply question_tidy. eapply tidy_fewer; [exact T|]. intros r. simpl. unfold set.
    destruct (r =? q); auto.
  - unfold Machines.step.
    destruct (e_slots _ _ _ _ en q) as [[s p [n k [e|]|x]]|] eqn:Q;
      try (intros H; inv H; split; [exact T|intros r v []]; fail).
    destruct (given_up_books (e_books _ _ _ _ en) q) as [G _].
    assert (T1 : tidy_in (book _ _ _ _ en (give_up _ (e_books _ _ _ _ en) q)))
      by (unfold tidy_in; simpl; rewrite G; exact T).
    unfold drop_asked. destruct (live _ now q _ (Asked _ n k) e) as [en2 o2] eqn:L. intros H; inv H.
    assert (E : (exists g, e = Granted _ g) \/ forall g, e <> Granted _ g)
      by (destruct e; try (right; intros; discriminate); left; eauto).
    destruct E as [[g ->]|N].
    + eapply live_taken; [exact T1|simpl; rewrite Q; reflexivity|exact L].
    + refine (live_tidy _ _ _ _ _ _ _ _ _ _ eq_refl _ L);
        [|intros g E; exfalso; eapply N; exact E].
      eapply tidy_fewer; [exact T1|]. intros r. simpl. destruct (r =? q); auto.
  - unfold Machines.step.
    destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q;
      try (intros H; inv H; split; [exact T|intros r v []]; fail).
    destruct (drop_asked _ _ _ _ _ en q m) as [en1 o1] eqn:D.
    destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. intros H; inv H.
    eapply asked_tidy; eauto. discriminate.
  - unfold Machines.step. specialize (W q).
    destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q;
      try (intros H; inv H; split; [exact T|intros r v []]; fail).
    intros L. eapply running_tidy; eauto.
  - unfold Machines.step. specialize (W q).
    destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q.
    + destruct (drop_asked _ _ _ _ _ en q m) as [en1 o1] eqn:D.
      destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. intros H; inv H.
      eapply asked_tidy; eauto. discriminate.
    + intros L. eapply running_tidy; eauto.
    + intros H; inv H. split; [exact T|intros r v []].
Qed.

Lemma run_tidy is : forall (en en' : enclave) o, sane en -> tidy_in en -> run en is = (en', o) ->
  sane en' /\ tidy_in en'.
Proof.
  induction is as [|[now i] is IH]; simpl; intros en en' o W T H; [inv H; auto|].
  destruct (step en now i) as [e1 o1] eqn:E. destruct (run e1 is) as [e2 o2] eqn:F. inv H.
  destruct (step_tidy _ _ _ _ _ W T E) as [T1 _].
  eapply IH; [eapply step_sane; eauto|exact T1|exact F].
Qed.

(** Whatever is told of a grant for the first time is on the list then ... *)
Theorem told_is_owed is (en : enclave) o now i (en' : enclave) o' r u : run boot is = (en, o) ->
  step en now i = (en', o') -> In (Closing _ _ _ r u) o' -> In u (owed en').
Proof.
  intros R H C. destruct (run_tidy is boot en o) as [W T]; auto.
  - intros q. exact I.
  - split; simpl; intros; discriminate.
  - destruct (step_tidy _ _ _ _ _ W T H) as [_ L]. eapply L, C.
Qed.

(** ... and stays there, whatever happens, until the host acknowledges that grant. *)
Theorem owed_until_acknowledged (en : enclave) now i (en' : enclave) o u : In u (owed en) ->
  step en now i = (en', o) -> i <> FromHost _ _ (Ack (u_grant _ u)) -> In u (owed en').
Proof.
  intros J H N. destruct i as [| |f|s p|q|q|q|q e|q]; unfold Machines.step in H.
  - inv H. exact J.
  - inv H. exact J.
  - destruct (e_up _ _ _ _ en); [|inv H; exact J].
    destruct f as [q g c|q code wait|g]; unfold receive in H.
    + destruct (b_waiting _ (e_books _ _ _ _ en) q) as [w|]; [|inv H; exact J].
      destruct (_ || _); [inv H; exact J|].
      destruct (w_given_up w); inv H; simpl; [apply settle_keeps|]; exact J.
    + destruct (b_waiting _ (e_books _ _ _ _ en) q) as [w|]; [|inv H; exact J].
      destruct (w_given_up w); inv H; exact J.
    + destruct (owes _ _ _); inv H; [|exact J]. simpl. apply filter_In. split; [exact J|].
      apply negb_true_iff, Nat.eqb_neq. congruence.
  - eapply question_keeps; [exact H|exact J].
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|[]]]|]; try (inv H; exact J).
    eapply question_keeps; [exact H|exact J].
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k [e|]|x]]|]; try (inv H; exact J).
    destruct (drop_asked _ _ _ _ _ en q None) as [en1 o1] eqn:D.
    destruct (live en1 now q _ (Asked _ n k) e) as [en2 o2] eqn:L. inv H.
    eapply live_keeps, drop_keeps; eauto.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|]; try (inv H; exact J).
    destruct (drop_asked _ _ _ _ _ en q m) as [en1 o1] eqn:D.
    destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. inv H.
    eapply live_keeps, drop_keeps; eauto.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|]; try (inv H; exact J).
    eapply live_keeps; [exact H|exact J].
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|]; try (inv H; exact J).
    + destruct (drop_asked _ _ _ _ _ en q m) as [en1 o1] eqn:D.
      destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. inv H.
      eapply live_keeps, drop_keeps; eauto.
    + eapply live_keeps; [exact H|exact J].
Qed.

(** Every new channel begins with all of it. *)
Theorem told_again (en : enclave) now u : In u (owed en) ->
  In (Again _ _ _ u) (snd (step en now (Up _ _))).
Proof. intros J. simpl. right. apply in_map, J. Qed.
End OfMachines.
