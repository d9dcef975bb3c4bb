(** Dispatch and settling: whatever host, clients and providers do, in any order.

    For each attempt of each request, at every moment of every run: at most one grant is accepted, it is dispatched
    at most once and only after a grant, and it is settled at most once; once the request is over it
    was settled exactly as often as granted. *)
Load Setting.

(** * Counting *)
Definition times (f : output -> bool) (o : list output) := length (filter f o).
Definition grant_of r (o : output) := match o with Accepted _ _ _ r' _ => r' =? r | _ => false end.
Definition send_of r (o : output) := match o with ToProvider _ _ _ r' _ _ => r' =? r | _ => false end.
Definition closing_of r (o : output) := match o with Closing _ _ _ r' _ => r' =? r | _ => false end.
Definition grants r := times (grant_of r).
Definition sends r := times (send_of r).
Definition closings r := times (closing_of r).

Lemma times_app f a b : times f (a ++ b) = times f a + times f b.
Proof. unfold times. rewrite filter_app, app_length. reflexivity. Qed.

(** * What the enclave holds for a request, and what must have happened by then *)
Definition busy (x : state) := match x with
  | Sent _ _ _ _ | Relaying _ _ _ _ _ _ => True | _ => False end.
Definition done (x : state) := match x with
  | Kept _ _ _ | Passing _ | Over _ => True | _ => False end.

Lemma busy_or_done x : busy x -> done x -> False.
Proof. destruct x; simpl; tauto. Qed.

Inductive fits (r n : nat) (w : option waiting) : option slot -> nat -> nat -> nat -> Prop :=
| f_new : n < r -> w = None -> fits r n w None 0 0 0
| f_asking s p n0 k0 : r <= n -> (forall x, w = Some x -> w_given_up x = false) ->
    fits r n w (Some (Build_slot _ _ _ s p (Asking n0 k0 None))) 0 0 0
| f_allowed s p n0 k0 g : r <= n -> w = None ->
    fits r n w (Some (Build_slot _ _ _ s p (Asking n0 k0 (Some (Granted _ g))))) 1 0 0
| f_refused s p n0 k0 e : r <= n -> w = None -> (forall g, e <> Granted _ g) ->
    fits r n w (Some (Build_slot _ _ _ s p (Asking n0 k0 (Some e)))) 0 0 0
| f_busy s p x : r <= n -> w = None -> busy x ->
    fits r n w (Some (Build_slot _ _ _ s p (Running x))) 1 1 0
| f_over s p y k d : done y -> r <= n -> w = None -> d <= k -> k <= 1 ->
    fits r n w (Some (Build_slot _ _ _ s p (Running y))) k d k
| f_late s p x y : done y -> r <= n -> w = Some x -> w_given_up x = true ->
    fits r n w (Some (Build_slot _ _ _ s p (Running y))) 0 0 0.

Definition fit (en : enclave) r := fits r (b_requests _ (e_books _ _ _ _ en))
  (b_waiting _ (e_books _ _ _ _ en) r) (e_slots _ _ _ _ en r).

(** * A step of an exchange *)
Inductive moves : state -> event -> state -> nat -> nat -> Prop :=
| m_send n k g x : busy x -> moves (Asked _ n k) (Granted _ g) x 1 0
| m_refused n k e y : (forall g, e <> Granted _ g) -> done y -> moves (Asked _ n k) e y 0 0
| m_on x e x' : busy x -> busy x' -> moves x e x' 0 0
| m_close x e y : busy x -> done y -> moves x e y 0 1
| m_done x e y : done x -> done y -> moves x e y 0 0.

Lemma exchange_moves p now x e y a u : exchange p now x e = (y, a, u) -> exists d c,
  moves x e y d c /\ c = match u with Some _ => 1 | None => 0 end /\
  d = match a with Send => match e with Granted _ _ => 1 | _ => 0 end | _ => 0 end.
Proof.
  intros H. destruct x as [n [[|rr]|]|n g t|g t c f m|n k| |]; destruct e; simpl in H;
    try (unfold sent in H; simpl in H; repeat match type of H with
      context [if ?b then _ else _] => destruct b end);
    inversion H; subst; do 2 eexists; (split; [|split; reflexivity]);
    solve [ eapply m_send; exact I | eapply m_done; exact I
          | eapply m_refused; [intros ? ?; discriminate|exact I]
          | eapply m_on; exact I | eapply m_close; exact I ].
Qed.

Lemma live_moves en now r (s : slot) x e en' o : live en now r s x e = (en', o) ->
  exists x' d c,
  e_slots _ _ _ _ en' = set (e_slots _ _ _ _ en) r
    (Some (Build_slot _ _ _ (s_session _ _ _ s) (s_plan _ _ _ s) (Running x'))) /\
  moves x e x' d c /\
  b_requests _ (e_books _ _ _ _ en') = b_requests _ (e_books _ _ _ _ en) /\
  b_waiting _ (e_books _ _ _ _ en') = b_waiting _ (e_books _ _ _ _ en) /\
  forall q, grants q o = 0 /\ sends q o = (if r =? q then d else 0) /\
            closings q o = (if r =? q then c else 0).
Proof.
  unfold Machines.live, close. destruct (exchange (s_plan _ _ _ s) now x e) as [[y a] u] eqn:X.
  destruct (exchange_moves _ _ _ _ _ _ _ X) as (d & c & M1 & -> & ->). intros H. exists y.
  unfold settle, grants, sends, closings, times in *.
  destruct u as [u|]; [simpl in H; destruct (holds _ _) in H|]; inversion H; subst;
    do 2 eexists; (split; [reflexivity|split; [exact M1|]]); simpl;
    repeat split; destruct a, e; simpl; destruct (r =? q); reflexivity.
Qed.

Lemma drop_fits en r m en' o : drop_asked B Rules M Word no_word en r m = (en', o) ->
  b_requests _ (e_books _ _ _ _ en') = b_requests _ (e_books _ _ _ _ en) /\
  b_waiting _ (e_books _ _ _ _ en') = b_waiting _ (give_up _ (e_books _ _ _ _ en) r) /\
  e_slots _ _ _ _ en' = e_slots _ _ _ _ en /\
  forall q, grants q o = 0 /\ sends q o = 0 /\
    closings q o = (if r =? q then match m with Some (Granted _ _) => 1 | _ => 0 end else 0).
Proof.
  unfold drop_asked, close, settle, give_up, grants, sends, closings, times. intros H.
  destruct m as [[]|]; try destruct (holds _ _) in H; injection H as <- <-; simpl;
    destruct (b_waiting _ _ r); simpl; repeat split; destruct (r =? q); reflexivity.
Qed.

(** * A step of the enclave *)
Notation fit_at en r := (fit en r).

Lemma fit_other (en en' : enclave) r G S T : fit en r G S T ->
  b_requests _ (e_books _ _ _ _ en') = b_requests _ (e_books _ _ _ _ en) ->
  b_waiting _ (e_books _ _ _ _ en') r = b_waiting _ (e_books _ _ _ _ en) r ->
  e_slots _ _ _ _ en' r = e_slots _ _ _ _ en r -> fit en' r G S T.
Proof. unfold fit. intros F -> -> ->. exact F. Qed.

Lemma unwait (en : enclave) q r G S T : fit en r G S T ->
  fit (book _ _ _ _ en (with_waiting _ (e_books _ _ _ _ en)
    (set (b_waiting _ (e_books _ _ _ _ en)) q None))) r G S T.
Proof.
  unfold fit, set; simpl. destruct (r =? q); [|auto].
  intros F; inv F; constructor; auto; congruence.
Qed.

Lemma down_fits (en : enclave) r G S T : fit en r G S T -> fit (down _ _ _ _ en) r G S T.
Proof.
  unfold fit, down, is_waiting; simpl. intros F. inv F; simpl;
    repeat match goal with H : b_waiting _ _ _ = _ |- _ => rewrite H end; simpl;
    try (constructor; auto; congruence).
  destruct (b_waiting _ _ _); constructor; auto; congruence.
Qed.

Lemma no_again r (l : list usage) :
  let o := map (Again B Rules Word) l in grants r o = 0 /\ sends r o = 0 /\ closings r o = 0.
Proof. induction l; simpl; auto. Qed.

Lemma settle_same (b : books Word) u : b_requests _ (settle _ b u) = b_requests _ b /\
  b_waiting _ (settle _ b u) = b_waiting _ b.
Proof. unfold settle. destruct (holds _ _); auto. Qed.

Lemma host_fits en now r G S T f en' o : fit en r G S T -> step en now (FromHost _ _ f) = (en', o) ->
  fit en' r (G + grants r o) (S + sends r o) (T + closings r o).
Proof.
  intros F. unfold Machines.step. destruct (e_up _ _ _ _ en).
  2: { intros H; inv H. unfold grants, sends, closings; simpl. rewrite !Nat.add_0_r. exact F. }
  destruct f as [q g c|q code wait|g]; unfold receive.
  - destruct (b_waiting _ (e_books _ _ _ _ en) q) as [w|] eqn:W.
    2: { intros H; inv H. unfold grants, sends, closings; simpl. rewrite !Nat.add_0_r.
         apply down_fits, F. }
    destruct (_ || _).
    { intros H; inv H. unfold grants, sends, closings; simpl. rewrite !Nat.add_0_r.
      apply down_fits, F. }
    destruct (w_given_up w) eqn:Late; intros H; simpl in H; inv H;
      unfold grants, sends, closings, times, deliver, put; simpl;
      unfold fit in *; simpl; rewrite ?(proj1 (settle_same _ _)), ?(proj2 (settle_same _ _)); simpl;
      unfold set; rewrite (Nat.eqb_sym r q); destruct (Nat.eqb_spec q r) as [->|N]; simpl;
      rewrite ?Nat.add_0_r; auto; inv F; simpl; try congruence.
    + match goal with H : forall x, _ -> w_given_up x = false |- _ => specialize (H _ W); congruence end.
    + apply f_over; auto.
    + apply f_allowed; auto.
  - destruct (b_waiting _ (e_books _ _ _ _ en) q) as [w|] eqn:W.
    2: { intros H; inv H. unfold grants, sends, closings; simpl. rewrite !Nat.add_0_r.
         apply down_fits, F. }
    destruct (w_given_up w) eqn:Late; intros H; inv H; unfold grants, sends, closings; simpl;
      rewrite !Nat.add_0_r; [apply unwait, F|].
    unfold fit, deliver, put, set in *; simpl. rewrite (Nat.eqb_sym r q).
    destruct (Nat.eqb_spec q r) as [->|N]; simpl; auto. inv F; simpl; try congruence.
    apply f_refused; auto; congruence.
  - destruct (owes _ _); intros H; inv H; unfold grants, sends, closings; simpl;
      rewrite !Nat.add_0_r; [|apply down_fits]; (eapply fit_other; [exact F|..]; reflexivity).
Qed.

(** The exchange of q steps, out of a mailbox or running. *)
Lemma live_fits en now q s x e en' o r G S T : fit en r G S T -> live en now q s x e = (en', o) ->
  (r = q -> forall x' d c, moves x e x' d c ->
    fits r (b_requests _ (e_books _ _ _ _ en)) (b_waiting _ (e_books _ _ _ _ en) r)
      (Some (Build_slot _ _ _ (s_session _ _ _ s) (s_plan _ _ _ s) (Running x'))) G (S + d) (T + c)) ->
  fit en' r (G + grants r o) (S + sends r o) (T + closings r o).
Proof.
  intros F L H. destruct (live_moves _ _ _ _ _ _ _ _ L) as (x' & d & c & E & M1 & R & W & C).
  destruct (C r) as (-> & -> & ->). rewrite Nat.add_0_r.
  destruct (Nat.eqb_spec q r) as [->|N].
  - unfold fit. rewrite R, W, E. unfold set. rewrite Nat.eqb_refl. apply H; auto.
  - rewrite !Nat.add_0_r. eapply fit_other; eauto; [rewrite W; auto|rewrite E].
    unfold set. rewrite (proj2 (Nat.eqb_neq r q)); auto.
Qed.

Lemma running_moves r n w s p x e G S T :
  fits r n w (Some (Build_slot _ _ _ s p (Running x))) G S T -> forall x' d c, moves x e x' d c ->
  fits r n w (Some (Build_slot _ _ _ s p (Running x'))) G (S + d) (T + c).
Proof.
  intros F x' d c M1. inv F; inv M1; simpl in *; try contradiction; rewrite ?Nat.add_0_r;
    try (exfalso; eauto using busy_or_done; fail).
  - apply f_busy; auto.
  - apply f_over; auto.
  - apply f_over; auto.
  - eapply f_late; eauto.
Qed.

(** ... after its question was dropped. *)
Lemma given_up (b : books Word) q r : b_waiting _ (give_up _ b q) r =
  if q =? r then option_map (fun w => {| w_custody := w_custody w;
    w_given_up := true |}) (b_waiting _ b r) else b_waiting _ b r.
Proof.
  unfold give_up. destruct (Nat.eqb_spec q r) as [->|N].
  - destruct (b_waiting _ b r) eqn:W; simpl; [|auto]. unfold set. rewrite Nat.eqb_refl. auto.
  - destruct (b_waiting _ b q); simpl; auto. unfold set.
    rewrite (proj2 (Nat.eqb_neq r q)); auto.
Qed.


Lemma asked_fits en now q s p n kp m k e en1 o1 en' o2 r G S T :
  fit en r G S T -> e_slots _ _ _ _ en q = Some (Build_slot _ _ _ s p (Asking n kp m)) ->
  drop_asked _ _ _ _ no_word en q k = (en1, o1) ->
  live en1 now q (Build_slot _ _ _ s p (Asking n kp None)) (Asked _ n kp) e = (en', o2) ->
  (k = None /\ m = Some e \/ k = m /\ forall g, e <> Granted _ g) ->
  fit en' r (G + grants r (o1 ++ o2)) (S + sends r (o1 ++ o2)) (T + closings r (o1 ++ o2)).
Proof.
  intros F Q D L Y. unfold grants, sends, closings. rewrite !times_app, !Nat.add_assoc.
  destruct (drop_fits _ _ _ _ _ D) as (R & W & E & C). destruct (C r) as (C1 & C2 & C3).
  fold (grants r o1) (sends r o1) (closings r o1) (grants r o2) (sends r o2) (closings r o2).
  rewrite C1, C2, C3, !Nat.add_0_r.
  destruct (live_moves _ _ _ _ _ _ _ _ L) as (x' & d & c & E2 & M1 & R2 & W2 & K).
  destruct (K r) as (-> & -> & ->). unfold fit in *. rewrite R2, W2, E2, R, W, E.
  rewrite given_up. unfold set. rewrite (Nat.eqb_sym r q). destruct (Nat.eqb_spec q r) as [->|N].
  2: { rewrite !Nat.add_0_r; auto. }
  simpl. rewrite Q in F. destruct Y as [[-> ->]|[-> Y]]; inv F; inv M1; simpl in *;
    try contradiction; try (exfalso; match goal with
      N : forall g, Granted _ _ <> Granted _ g |- _ => exact (N _ eq_refl) end);
    repeat match goal with H : b_waiting _ _ r = None |- _ => rewrite H in * end; simpl in *;
    try (apply f_busy; auto; fail); try (apply f_over; auto; fail).
  - destruct (b_waiting _ _ r); simpl; [eapply f_late; [assumption|auto|reflexivity..]|apply f_over; auto].
  - destruct e0; try (apply f_over; auto; fail).
    exfalso. match goal with H : forall g, Granted _ _ <> _ |- _ => eapply H; eauto end.
Qed.

(** The next question. *)
Lemma question_fits en now s p j k en' o r G S T : fit en r G S T ->
  question en now s p j k = (en', o) ->
  fit en' r (G + grants r o) (S + sends r o) (T + closings r o).
Proof.
  intros F. unfold Machines.question.
  set (n := b_requests _ (number _ (e_books _ _ _ _ en))).
    assert (FN : r <> n -> fit (book _ _ _ _ en (number _ (e_books _ _ _ _ en))) r G S T).
    { unfold fit, n in *; simpl in *. intros N. inv F; [apply f_new; [lia|auto]|constructor; auto; lia..|eapply f_late; eauto; lia]. }
    assert (NN : r = n -> G = 0 /\ S = 0 /\ T = 0 /\ b_waiting _ (e_books _ _ _ _ en) r = None).
    { unfold fit, n in *; simpl in *. intros ->. inv F; auto; lia. }
    destruct (if e_up _ _ _ _ en then _ else _) as [b'|] eqn:A.
    + intros H; inv H. unfold grants, sends, closings; simpl. rewrite !Nat.add_0_r.
      destruct (e_up _ _ _ _ en); [|discriminate]. unfold authorize in A.
      destruct (room <=? _); inv A. unfold fit, put, set; simpl. fold n.
      destruct (Nat.eqb_spec r n) as [->|N].
      * destruct (NN eq_refl) as (-> & -> & -> & _). apply f_asking; [auto|].
        intros x Hx; inv Hx; auto.
      * apply FN; auto.
    + intros L. destruct (live_moves _ _ _ _ _ _ _ _ L) as (x' & d & c & E & M1 & R & W & C).
      fold n in C. destruct (C r) as (-> & -> & ->). unfold fit. rewrite R, W, E.
      rewrite Nat.add_0_r. unfold set. fold n. rewrite (Nat.eqb_sym n r).
      destruct (Nat.eqb_spec r n) as [->|N]; [|rewrite !Nat.add_0_r; apply FN; auto].
      destruct (NN eq_refl) as (-> & -> & -> & Z). simpl. rewrite Z.
      inv M1; [|contradiction..]. apply f_over; auto.
Qed.

Lemma step_fits en now i en' o r G S T : fit en r G S T -> step en now i = (en', o) ->
  fit en' r (G + grants r o) (S + sends r o) (T + closings r o).
Proof.
  intros F. destruct i as [| |f|s p|q|q|q|q e|q]; unfold Machines.step.
  - intros H; inv H. unfold grants, sends, closings, times. simpl.
    fold (times (grant_of r) (map (Again B Rules Word) (b_owed _ (e_books _ _ _ _ en)))).
    fold (times (send_of r) (map (Again B Rules Word) (b_owed _ (e_books _ _ _ _ en)))).
    fold (times (closing_of r) (map (Again B Rules Word) (b_owed _ (e_books _ _ _ _ en)))).
    destruct (no_again r (b_owed _ (e_books _ _ _ _ en))) as (A1 & A2 & A3).
    unfold grants, sends, closings in *. rewrite A1, A2, A3, !Nat.add_0_r. exact F.
  - intros H; inv H. unfold grants, sends, closings; simpl. rewrite !Nat.add_0_r.
    apply down_fits, F.
  - apply (host_fits en now), F.
  - apply question_fits, F.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|[]]]|] eqn:Q;
      try (intros H; inv H; unfold grants, sends, closings; simpl; rewrite !Nat.add_0_r; exact F).
    apply question_fits. unfold fit, put, set in *; simpl.
    destruct (Nat.eqb_spec r q) as [->|N]; [|exact F]. rewrite Q in F.
    inv F; [contradiction|apply f_over; auto; exact I|eapply f_late; eauto; exact I].
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k [e|]|x]]|] eqn:Q;
      try (intros H; inv H; unfold grants, sends, closings; simpl; rewrite !Nat.add_0_r; exact F).
    destruct (drop_asked _ _ _ _ _ _ _ _) as [en1 o1] eqn:D.
    destruct (Machines.live _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _) as [en2 o2] eqn:L. intros H; inv H.
    eapply asked_fits; eauto.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q;
      try (intros H; inv H; unfold grants, sends, closings; simpl; rewrite !Nat.add_0_r; exact F).
    destruct (drop_asked _ _ _ _ _ _ _ _) as [en1 o1] eqn:D.
    destruct (Machines.live _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _) as [en2 o2] eqn:L. intros H; inv H.
    eapply asked_fits; eauto. right; split; [auto|intros; discriminate].
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q;
      try (intros H; inv H; unfold grants, sends, closings; simpl; rewrite !Nat.add_0_r; exact F).
    intros L. eapply live_fits; eauto. intros -> x' d c M1. unfold fit in F.
      rewrite Q in F. eapply running_moves; eauto.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q;
      try (intros H; inv H; unfold grants, sends, closings; simpl; rewrite !Nat.add_0_r; exact F).
    + destruct (drop_asked _ _ _ _ _ _ _ _) as [en1 o1] eqn:D.
      destruct (Machines.live _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _) as [en2 o2] eqn:L. intros H; inv H.
      eapply asked_fits; eauto. right; split; [auto|intros; discriminate].
    + intros L. eapply live_fits; eauto. intros -> x' d c M1. unfold fit in F.
      rewrite Q in F. eapply running_moves; eauto.
Qed.

(** * The claims *)
Lemma run_fits is : forall en en' o r G S T, fit en r G S T -> run en is = (en', o) ->
  fit en' r (G + grants r o) (S + sends r o) (T + closings r o).
Proof.
  induction is as [|[now i] is IH]; simpl; intros en en' o r G S T F H.
  - inv H. unfold grants, sends, closings; simpl. rewrite !Nat.add_0_r. exact F.
  - destruct (step en now i) as [en1 o1] eqn:E1. destruct (run en1 is) as [en2 o2] eqn:E2. inv H.
    unfold grants, sends, closings. rewrite !times_app, !Nat.add_assoc.
    eapply IH; eauto. eapply step_fits; eauto.
Qed.
Lemma booted r : 0 < r -> fit boot r 0 0 0.
Proof. intros. apply f_new; auto. Qed.

(** A question is over when nothing is under way for its grant: the client has its answer, or went
    away, or another attempt is due, or an answer already on the books is passed on. *)
Definition over (en : enclave) r := exists s p y, done y /\
  e_slots _ _ _ _ en r = Some (Build_slot _ _ _ s p (Running y)).

Section Claims.
Variables (is : list (nat * input B Rules)) (en : enclave) (o : list output) (r : nat).
Hypothesis R : run boot is = (en, o).
Hypothesis P : 0 < r.

(** At most one grant for an attempt of a request, at most one dispatch for its grant, none without. *)
Theorem one_dispatch_for_a_grant : sends r o <= grants r o /\ grants r o <= 1.
Proof. pose proof (run_fits _ _ _ _ _ _ _ _ (booted r P) R) as F. unfold fit in F. simpl in F. inv F; lia. Qed.

(** A grant is settled at most once ... *)
Theorem settled_at_most_once : closings r o <= grants r o.
Proof. pose proof (run_fits _ _ _ _ _ _ _ _ (booted r P) R) as F. unfold fit in F. simpl in F. inv F; lia. Qed.

(** ... and exactly once as soon as the attempt is over, also where the grant came too late. *)
Theorem settled_exactly_once : over en r -> closings r o = grants r o.
Proof.
  intros (s & p & y & Y & E). pose proof (run_fits _ _ _ _ _ _ _ _ (booted r P) R) as F.
  unfold fit in F. simpl in F. rewrite E in F. inv F; try lia. exfalso; eauto using busy_or_done.
Qed.

(** Whoever waits or is under way has settled nothing: nothing is billed before it is over. *)
Theorem nothing_settled_early : ~ over en r -> closings r o = 0.
Proof.
  intros N. pose proof (run_fits _ _ _ _ _ _ _ _ (booted r P) R) as F. unfold fit in F. simpl in F.
  inv F; auto; exfalso; apply N; unfold over; eauto.
Qed.
End Claims.

(** A grant is taken only as the answer to an open question, in its custody, under a
    number that is not in use; [Ask] opened that question with the custody that the client stated. *)
Theorem grant_matches_question b f b' r g : receive Word no_word b f = (b', Allow Word r g) ->
  exists w, b_waiting _ b r = Some w /\ w_given_up w = false /\
    f = Grant r g (w_custody w) /\
    owes Word g (b_owed _ b) = false /\ holds g (b_granted _ b) = false.
Proof.
  unfold receive. destruct f as [q n c|q code wait|n].
  - destruct (b_waiting _ b q) as [w|] eqn:W; [|discriminate].
    destruct (Nat.eqb_spec (w_custody w) c); [|discriminate].
    destruct (owes Word n (b_owed _ b)) eqn:O; [discriminate|].
    destruct (holds n (b_granted _ b)) eqn:H; [discriminate|]. simpl.
    destruct (w_given_up w) eqn:L; [discriminate|]. intros E; inv E. exists w. auto.
  - destruct (b_waiting _ b q) as [w|]; [|discriminate].
    destruct (w_given_up w); discriminate.
  - destruct (owes _ _ _); discriminate.
Qed.

(** * Further attempts *)

(** There is another attempt only where the plan allows it and fewer than the most were made, after a
    failure before dispatch or a complete head of such a status, with the body still held; and that
    settles the grant at hand. *)
Theorem retry_only p now x e y u : exchange p now x e = (y, Retry, u) ->
  exists n g at_ms v, x = Sent _ n g at_ms /\ p_again _ _ p = true /\ n < attempts /\
    u = Some v /\ u_grant _ v = g /\
    (e = Unreachable _ true \/
     exists status kind coding, e = Head status kind coding true /\ transient status = true).
Proof.
  intros H. destruct x as [n [[|rr]|]|n g t|g t c f m|n k| |]; destruct e; simpl in H;
    try discriminate; try (match type of H with (_, if ?b then _ else _, _) = _ => destruct b end;
    discriminate); unfold sent, may_again in H; simpl in H; try discriminate.
  - destruct (p_again _ _ p) eqn:A; [|discriminate]. destruct (Nat.ltb_spec n attempts); [|discriminate].
    destruct held; [|discriminate]. inv H. exists n, g, t. eexists. repeat split; auto.
  - destruct (p_again _ _ p) eqn:A; [|discriminate]. destruct (Nat.ltb_spec n attempts); [|discriminate].
    destruct held; [|discriminate]. destruct (transient status) eqn:S; [|discriminate]. inv H.
    exists n, g, t. eexists. repeat split; auto; [|right; eauto 6].
    unfold answered. destruct (told _ _) as [[[? ?] ?]|]; reflexivity.
Qed.

(** Whoever was told anything is not asked for again: what follows an answer to the client, of any
    kind, is never another attempt. *)
Definition told_client (a : action) := match a with Send | Retry => False | _ => True end.
Fixpoint after (p : plan) (x : state) (es : list (nat * event)) : list action :=
  match es with
  | [] => []
  | (now, e) :: rest => let '(y, a, _) := exchange p now x e in a :: after p y rest
  end.
Lemma heard p : forall es x, match x with Asked _ _ _ | Sent _ _ _ _ | Kept _ _ _ => False | _ => True end ->
  ~ In Retry (after p x es) /\ ~ In Send (after p x es).
Proof.
  induction es as [|[now e] es IH]; simpl; [tauto|]. intros x X.
  destruct (exchange p now x e) as [[y a] u] eqn:E.
  assert (Y : match y with Asked _ _ _ | Sent _ _ _ _ | Kept _ _ _ => False | _ => True end /\
    a <> Retry /\ a <> Send).
  { destruct x; try contradiction; destruct e; simpl in E; inv E; repeat split; discriminate. }
  destruct Y as (Y & N1 & N2). destruct (IH y Y) as [I1 I2]. simpl. tauto.
Qed.
Theorem no_retry_once_told p now x e y a u es : exchange p now x e = (y, a, u) -> told_client a ->
  ~ In Retry (after p y es) /\ ~ In Send (after p y es).
Proof.
  intros E T. apply heard. destruct x as [n [[|rr]|]|n g t|g t c f m|n k| |]; destruct e; simpl in E;
    try (unfold sent in E; simpl in E; repeat match type of E with
      context [if ?b then _ else _] => destruct b end); inv E; simpl in *; auto.
Qed.

(** ... and no question is ever asked for more than that many attempts. *)
Definition tried (s : option slot) := match s with
  | Some {| s_phase := Machines.Asking _ _ n _ _ |}
  | Some {| s_phase := Machines.Running _ _ (Asked _ n _) |}
  | Some {| s_phase := Machines.Running _ _ (Sent _ n _ _) |} => n <= Nat.max 1 attempts
  | Some {| s_phase := Machines.Running _ _ (Kept _ n _) |} => n < attempts
  | _ => True
  end.
Definition tried_in (en : enclave) := forall r, tried (e_slots _ _ _ _ en r).
Definition few (o : list output) := forall s r n p c k,
  In (Authorize _ _ _ s r n p c k) o -> n <= Nat.max 1 attempts.
Lemma live_tried (en : enclave) now q s x e (en' : enclave) o : tried_in en ->
  match x with Asked _ n _ | Sent _ n _ _ => n <= Nat.max 1 attempts | _ => True end ->
  live en now q s x e = (en', o) -> tried_in en' /\ few o.
Proof.
  intros T X. unfold Machines.live, close.
  destruct (exchange (s_plan _ _ _ s) now x e) as [[y a] u] eqn:E.
  assert (Y : tried (Some (Build_slot _ _ _ (s_session _ _ _ s) (s_plan _ _ _ s) (Running y)))).
  { destruct x as [n [[|rr]|]|n g t|g t c f m|n k| |]; destruct e; simpl in E;
    try (unfold sent, may_again in E; simpl in E); try (inv E; simpl; auto; fail);
    destruct (p_again _ _ _); simpl in E; try (inv E; simpl; auto; fail);
    destruct (Nat.ltb_spec n attempts); simpl in E; try (inv E; simpl; auto; fail);
    repeat match type of E with context [if ?b then _ else _] => destruct b end; inv E; simpl; auto. }
  intros H. split.
  - intros r. destruct u; inv H; simpl; unfold set; (destruct (r =? q); [exact Y|apply T]).
  - intros s' r n p c k I. destruct u; inv H; simpl in I;
      repeat (destruct I as [I|I]; [discriminate|]); destruct a, e; simpl in I;
      destruct I as [I|[]]; discriminate.
Qed.
Lemma drop_tried (en : enclave) q k (en' : enclave) o : tried_in en ->
  drop_asked B Rules M Word no_word en q k = (en', o) -> tried_in en' /\ few o.
Proof.
  intros T D. unfold drop_asked, close in D. destruct k as [[]|]; inv D;
    (split; [exact T|intros s' r n' p c k I; simpl in I; repeat (destruct I as [I|I]; [discriminate|]); contradiction]).
Qed.
Lemma question_tried (en : enclave) now s p n k (en' : enclave) o : tried_in en ->
  n <= Nat.max 1 attempts -> question en now s p n k = (en', o) -> tried_in en' /\ few o.
Proof.
  intros T N. unfold Machines.question. destruct (if e_up _ _ _ _ en then _ else _) as [b|].
  - intros H; inv H. split.
    + intros r. simpl. unfold set. destruct (r =? _); [exact N|apply T].
    + intros s' r n' p' c k' [I|[]]. inv I. exact N.
  - intros L. refine (live_tried _ _ _ _ (Asked _ n k) _ _ _ _ N L). exact T.
Qed.
Lemma mail_tried e s : tried s -> tried (option_map (mail _ _ _ e) s).
Proof. destruct s as [[s p [n k [m|]|x]]|]; simpl; auto. Qed.
Lemma few_app a b : few a -> few b -> few (a ++ b).
Proof. intros A C s r n p c k I. apply in_app_or in I as [I|I]; [eapply A|eapply C]; eauto. Qed.
Lemma step_tried (en : enclave) now i (en' : enclave) o : tried_in en -> step en now i = (en', o) ->
  tried_in en' /\ few o.
Proof.
  intros T.
  assert (Z : few []) by (intros s r n p c k []).
  assert (DN : tried_in (down _ _ _ _ en)).
  { intros r. simpl. destruct (is_waiting _ _ r); [apply mail_tried|]; apply T. }
  destruct i as [| |f|s p|q|q|q|q e|q]; unfold Machines.step.
  - intros H; inv H. split; [exact T|]. intros s r n p c k [I|I]; [discriminate|].
    apply in_map_iff in I as (u & E & _); discriminate.
  - intros H; inv H. auto.
  - destruct (e_up _ _ _ _ en); [|intros H; inv H; auto].
    assert (DL : forall (x : enclave) q e, tried_in x -> tried_in (deliver _ _ _ _ x q e)).
    { intros x q e X r. simpl. unfold set. destruct (Nat.eqb_spec r q) as [->|];
        [apply mail_tried|]; apply X. }
    destruct (receive _ _ _ f) as [b [|rq g|rq code wait|rq u|]]; unfold close; intros H; inv H;
      (split; [|intros s' r' n' p' c' k' I; simpl in I;
        repeat (destruct I as [I|I]; [discriminate|]); contradiction]);
      [|apply DL; exact T|apply DL; exact T|exact T|exact T].
    intros r. simpl. destruct (is_waiting _ _ r); [apply mail_tried|]; apply T.
  - apply question_tried; [exact T|lia].
  - pose proof (T q) as Q. destruct (e_slots _ _ _ _ en q) as [[s p [n k m|[]]]|];
      try (intros H; inv H; auto; fail).
    apply question_tried; [|simpl in Q; lia]. intros r. simpl. unfold set.
    destruct (r =? q); [exact I|apply T].
  - pose proof (T q) as Q. destruct (e_slots _ _ _ _ en q) as [[s p [n k [e|]|x]]|];
      try (intros H; inv H; auto; fail).
    destruct (drop_asked _ _ _ _ _ _ _ _) as [en1 o1] eqn:D. destruct (drop_tried _ _ _ _ _ T D) as [T1 F1].
    destruct (live en1 now q _ (Asked _ n k) e) as [en2 o2] eqn:L. intros H; inv H.
    destruct (live_tried _ _ _ _ (Asked _ n k) _ _ _ T1 Q L) as [T2 F2]. auto using few_app.
  - pose proof (T q) as Q. destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|];
      try (intros H; inv H; auto; fail).
    destruct (drop_asked _ _ _ _ _ _ _ _) as [en1 o1] eqn:D. destruct (drop_tried _ _ _ _ _ T D) as [T1 F1].
    destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. intros H; inv H.
    destruct (live_tried _ _ _ _ (Asked _ n k) _ _ _ T1 Q L) as [T2 F2]. auto using few_app.
  - pose proof (T q) as Q. destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|];
      try (intros H; inv H; auto; fail).
    apply live_tried; [exact T|]. destruct x; simpl in Q; auto; lia.
  - pose proof (T q) as Q. destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|]; [| |intros H; inv H; auto].
    + destruct (drop_asked _ _ _ _ _ _ _ _) as [en1 o1] eqn:D. destruct (drop_tried _ _ _ _ _ T D) as [T1 F1].
      destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. intros H; inv H.
      destruct (live_tried _ _ _ _ (Asked _ n k) _ _ _ T1 Q L) as [T2 F2]. auto using few_app.
    + apply live_tried; [exact T|]. destruct x; simpl in Q; auto; lia.
Qed.
Theorem attempts_bounded is : forall (en : enclave) o, run boot is = (en, o) -> few o.
Proof.
  assert (G : forall (x y : enclave) o, tried_in x -> run x is = (y, o) -> few o).
  { induction is as [|[t i] is IH]; simpl; intros x y z X E; [inv E; intros s r n p c k []|].
    destruct (step x t i) as [e1 o1] eqn:E1. destruct (run e1 is) as [e2 o2] eqn:E2. inv E.
    destruct (step_tried _ _ _ _ _ X E1) as [X1 F1]. eapply few_app; [exact F1|]. eapply IH; eauto. }
  intros en o R. eapply G; [|exact R]. intros r. exact I.
Qed.
End OfMachines.
