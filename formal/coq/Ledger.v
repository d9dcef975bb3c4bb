(** Dispatch and settling: whatever host, clients and providers do, in any order.

    For each request, at every moment of every run: at most one grant is accepted, it is dispatched
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
Definition busy (x : state) := match x with Sent _ _ _ | Relaying _ _ _ _ _ _ => True | _ => False end.

Inductive fits (r n : nat) (w : option waiting) : option slot -> nat -> nat -> nat -> Prop :=
| f_new : n < r -> w = None -> fits r n w None 0 0 0
| f_asking s p : r <= n -> (forall x, w = Some x -> w_given_up x = false) ->
    fits r n w (Some (Build_slot _ _ _ s p (Asking None))) 0 0 0
| f_allowed s p g : r <= n -> w = None ->
    fits r n w (Some (Build_slot _ _ _ s p (Asking (Some (Granted _ g))))) 1 0 0
| f_refused s p e : r <= n -> w = None -> (forall g, e <> Granted _ g) ->
    fits r n w (Some (Build_slot _ _ _ s p (Asking (Some e)))) 0 0 0
| f_busy s p x : r <= n -> w = None -> busy x ->
    fits r n w (Some (Build_slot _ _ _ s p (Running x))) 1 1 0
| f_over s p k d : r <= n -> w = None -> d <= k -> k <= 1 ->
    fits r n w (Some (Build_slot _ _ _ s p (Running (Over _)))) k d k
| f_late s p x : r <= n -> w = Some x -> w_given_up x = true ->
    fits r n w (Some (Build_slot _ _ _ s p (Running (Over _)))) 0 0 0.

Definition fit (en : enclave) r := fits r (b_requests _ (e_books _ _ _ _ en))
  (b_waiting _ (e_books _ _ _ _ en) r) (e_slots _ _ _ _ en r).

(** * A step of an exchange *)
Inductive moves : state -> event -> state -> nat -> nat -> Prop :=
| m_send g x : busy x -> moves (Asked _) (Granted _ g) x 1 0
| m_refused e : (forall g, e <> Granted _ g) -> moves (Asked _) e (Over _) 0 0
| m_on x e x' : busy x -> busy x' -> moves x e x' 0 0
| m_close x e : busy x -> moves x e (Over _) 0 1
| m_over e : moves (Over _) e (Over _) 0 0.

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
  unfold Machines.live, close, settle, grants, sends, closings, times. intros H.
  destruct x as [|g t|g t c f m|]; destruct e; simpl in H;
    try destruct (holds _ _) in H; injection H as <- <-;
    eexists; eexists; eexists;
    (split; [simpl; reflexivity|split; [solve [ eapply m_send; exact I | eapply m_over | eapply m_refused; intros ? ?; discriminate
                   | eapply m_on; exact I | eapply m_close; exact I ]|]]);
    simpl; repeat split; destruct (r =? q); reflexivity.
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
  destruct f as [q a g c|q a code wait|g]; unfold receive.
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
    destruct (negb _).
    { intros H; inv H. unfold grants, sends, closings; simpl. rewrite !Nat.add_0_r.
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
  intros F x' d c M1. inv F; inv M1; simpl in *; try contradiction; rewrite ?Nat.add_0_r.
  - apply f_busy; auto.
  - apply f_over; auto.
  - apply f_over; auto.
  - eapply f_late; eauto.
Qed.

(** ... after its question was dropped. *)
Lemma given_up (b : books Word) q r : b_waiting _ (give_up _ b q) r =
  if q =? r then option_map (fun w => {| w_attempt := w_attempt w; w_custody := w_custody w;
    w_given_up := true |}) (b_waiting _ b r) else b_waiting _ b r.
Proof.
  unfold give_up. destruct (Nat.eqb_spec q r) as [->|N].
  - destruct (b_waiting _ b r) eqn:W; simpl; [|auto]. unfold set. rewrite Nat.eqb_refl. auto.
  - destruct (b_waiting _ b q); simpl; auto. unfold set.
    rewrite (proj2 (Nat.eqb_neq r q)); auto.
Qed.


Lemma asked_fits en now q s p m k e en1 o1 en' o2 r G S T :
  fit en r G S T -> e_slots _ _ _ _ en q = Some (Build_slot _ _ _ s p (Asking m)) ->
  drop_asked _ _ _ _ no_word en q k = (en1, o1) ->
  live en1 now q (Build_slot _ _ _ s p (Asking None)) (Asked _) e = (en', o2) ->
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
  - destruct (b_waiting _ _ r); simpl; [eapply f_late; [auto|reflexivity..]|apply f_over; auto].
  - destruct e0; try (apply f_over; auto; fail).
    exfalso. match goal with H : forall g, Granted _ _ <> _ |- _ => eapply H; eauto end.
Qed.

Lemma step_fits en now i en' o r G S T : fit en r G S T -> step en now i = (en', o) ->
  fit en' r (G + grants r o) (S + sends r o) (T + closings r o).
Proof.
  intros F. destruct i as [| |f|s p|q|q|q e|q]; unfold Machines.step.
  - intros H; inv H. unfold grants, sends, closings, times. simpl.
    fold (times (grant_of r) (map (Again B Rules Word) (b_owed _ (e_books _ _ _ _ en)))).
    fold (times (send_of r) (map (Again B Rules Word) (b_owed _ (e_books _ _ _ _ en)))).
    fold (times (closing_of r) (map (Again B Rules Word) (b_owed _ (e_books _ _ _ _ en)))).
    destruct (no_again r (b_owed _ (e_books _ _ _ _ en))) as (A1 & A2 & A3).
    unfold grants, sends, closings in *. rewrite A1, A2, A3, !Nat.add_0_r. exact F.
  - intros H; inv H. unfold grants, sends, closings; simpl. rewrite !Nat.add_0_r.
    apply down_fits, F.
  - apply (host_fits en now), F.
  - set (n := b_requests _ (number _ (e_books _ _ _ _ en))).
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
      inv M1; [|contradiction|contradiction]. apply f_over; auto.
  - destruct (e_slots _ _ _ _ en q) as [[s p [[e|]|x]]|] eqn:Q;
      try (intros H; inv H; unfold grants, sends, closings; simpl; rewrite !Nat.add_0_r; exact F).
    destruct (drop_asked _ _ _ _ _ _ _ _) as [en1 o1] eqn:D.
    destruct (Machines.live _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _) as [en2 o2] eqn:L. intros H; inv H.
    eapply asked_fits; eauto.
  - destruct (e_slots _ _ _ _ en q) as [[s p [m|x]]|] eqn:Q;
      try (intros H; inv H; unfold grants, sends, closings; simpl; rewrite !Nat.add_0_r; exact F).
    destruct (drop_asked _ _ _ _ _ _ _ _) as [en1 o1] eqn:D.
    destruct (Machines.live _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _) as [en2 o2] eqn:L. intros H; inv H.
    eapply asked_fits; eauto. right; split; [auto|intros; discriminate].
  - destruct (e_slots _ _ _ _ en q) as [[s p [m|x]]|] eqn:Q;
      try (intros H; inv H; unfold grants, sends, closings; simpl; rewrite !Nat.add_0_r; exact F).
    intros L. eapply live_fits; eauto. intros -> x' d c M1. unfold fit in F.
      rewrite Q in F. eapply running_moves; eauto.
  - destruct (e_slots _ _ _ _ en q) as [[s p [m|x]]|] eqn:Q;
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

(** A request is over when its exchange is: the client has its answer, or went away. *)
Definition over (en : enclave) r := exists s p,
  e_slots _ _ _ _ en r = Some (Build_slot _ _ _ s p (Running (Over _))).

Section Claims.
Variables (is : list (nat * input B Rules)) (en : enclave) (o : list output) (r : nat).
Hypothesis R : run boot is = (en, o).
Hypothesis P : 0 < r.

(** At most one grant for a request, at most one dispatch for its grant, none without. *)
Theorem one_dispatch_for_a_grant : sends r o <= grants r o /\ grants r o <= 1.
Proof. pose proof (run_fits _ _ _ _ _ _ _ _ (booted r P) R) as F. unfold fit in F. simpl in F. inv F; lia. Qed.

(** A grant is settled at most once ... *)
Theorem settled_at_most_once : closings r o <= grants r o.
Proof. pose proof (run_fits _ _ _ _ _ _ _ _ (booted r P) R) as F. unfold fit in F. simpl in F. inv F; lia. Qed.

(** ... and exactly once as soon as the request is over, also where the grant came too late. *)
Theorem settled_exactly_once : over en r -> closings r o = grants r o.
Proof.
  intros (s & p & E). pose proof (run_fits _ _ _ _ _ _ _ _ (booted r P) R) as F.
  unfold fit in F. simpl in F. rewrite E in F. inv F; try lia. simpl in *; contradiction.
Qed.

(** Whoever waits or is under way has settled nothing: nothing is billed before it is over. *)
Theorem nothing_settled_early : ~ over en r -> closings r o = 0.
Proof.
  intros N. pose proof (run_fits _ _ _ _ _ _ _ _ (booted r P) R) as F. unfold fit in F. simpl in F.
  inv F; auto; exfalso; apply N; unfold over; eauto.
Qed.
End Claims.

(** A grant is taken only as the answer to an open question, of its attempt and custody, under a
    number that is not in use; [Ask] opened that question with the custody that the client stated. *)
Theorem grant_matches_question b f b' r g : receive Word no_word b f = (b', Allow Word r g) ->
  exists w, b_waiting _ b r = Some w /\ w_given_up w = false /\
    f = Grant r (w_attempt w) g (w_custody w) /\
    owes Word g (b_owed _ b) = false /\ holds g (b_granted _ b) = false.
Proof.
  unfold receive. destruct f as [q a n c|q a code wait|n].
  - destruct (b_waiting _ b q) as [w|] eqn:W; [|discriminate].
    destruct (Nat.eqb_spec (w_attempt w) a); [|discriminate].
    destruct (Nat.eqb_spec (w_custody w) c); [|discriminate].
    destruct (owes Word n (b_owed _ b)) eqn:O; [discriminate|].
    destruct (holds n (b_granted _ b)) eqn:H; [discriminate|]. simpl.
    destruct (w_given_up w) eqn:L; [discriminate|]. intros E; inv E. exists w. auto.
  - destruct (b_waiting _ b q) as [w|]; [|discriminate].
    destruct (negb _); [discriminate|]. destruct (w_given_up w); discriminate.
  - destruct (owes _ _ _); discriminate.
Qed.
End OfMachines.
