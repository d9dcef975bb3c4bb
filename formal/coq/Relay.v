(** What passes through: faithfully, in its own session, to the provider that its client named. *)
Load Setting.

(** * Faithful relay *)

(** What an exchange does with the events it is told, from some state on. *)
Fixpoint acts (p : plan) (s : state) (es : list (nat * event)) : list (action * list B) :=
  match es with
  | [] => []
  | (now, e) :: rest =>
      let '(s', a, _) := exchange p now s e in (a, bytes_of B e) :: acts p s' rest
  end.
Fixpoint relayed (l : list (action * list B)) : list B :=
  match l with
  | [] => []
  | (RelayChunk, b) :: rest => b ++ relayed rest
  | _ :: rest => relayed rest
  end.
(** The body that the provider sent: chunks up to the first thing that is none. *)
Fixpoint body (es : list (nat * event)) : list B :=
  match es with (_, Machines.Chunk _ b) :: rest => b ++ body rest | _ => [] end.
(** The answer for the client of an attempt: the provider's, unless another attempt is due; of the
    attempt before, where this one is not allowed. *)
Definition answer_of (p : plan) (n : nat) (k : option kept) (es : list (nat * event)) : list B :=
  match es with
  | (_, Granted _ _) :: (_, Machines.Head _ status _ _ held) :: rest =>
      if andb (may_again B Rules attempts p n) (andb held (transient status)) then [] else body rest
  | (_, Granted _ _) :: _ => []
  | _ :: rest => match k with Some Answer => body rest | _ => [] end
  | [] => []
  end.
Fixpoint whole (es : list (nat * event)) : bool :=
  match es with
  | (_, Machines.Chunk _ _) :: rest => whole rest
  | (_, End _) :: _ => true
  | _ => false
  end.

Lemma over_silent p es : relayed (acts p (Over _) es) = [] /\
  ~ In Finish (map fst (acts p (Over _) es)).
Proof.
  induction es as [|[now e] es [IH1 IH2]]; simpl; [auto|]. split; [auto|]. intros [H|H]; [discriminate|auto].
Qed.
Lemma kept_silent p n k es : relayed (acts p (Kept _ n k) es) = [] /\
  ~ In Finish (map fst (acts p (Kept _ n k) es)).
Proof.
  destruct es as [|[now e] es]; simpl; [auto|]. destruct (over_silent p es) as [-> N].
  split; [reflexivity|]. intros [H|H]; [discriminate|auto].
Qed.
Ltac silently p es := destruct (over_silent p es) as [-> ?]; split; [reflexivity|]; intros [?|?];
  [discriminate || reflexivity|contradiction].
Lemma relaying_body p es : forall g t c f m, relayed (acts p (Relaying _ g t c f m) es) = body es /\
  (In Finish (map fst (acts p (Relaying _ g t c f m) es)) -> whole es = true).
Proof.
  induction es as [|[now e] es IH]; intros g t c f m; [simpl; auto|].
  destruct e; simpl; try (silently p es; fail).
  destruct (IH g t c f (option_map (fun m => push m bytes) m)) as [-> W]. split; auto.
  intros [H|H]; [discriminate|auto].
Qed.
Lemma passing_body p es : relayed (acts p (Passing _) es) = body es /\
  (In Finish (map fst (acts p (Passing _) es)) -> whole es = true).
Proof.
  induction es as [|[now e] es IH]; [simpl; auto|]. destruct e; simpl; try (silently p es; fail).
  destruct IH as [-> W]. split; auto. intros [H|H]; [discriminate|auto].
Qed.

Lemma sent_body p n g t es : relayed (acts p (Sent _ n g t) es) = match es with
    | (_, Machines.Head _ status _ _ held) :: rest =>
        if andb (may_again B Rules attempts p n) (andb held (transient status)) then [] else body rest
    | _ => [] end /\
  (In Finish (map fst (acts p (Sent _ n g t) es)) -> exists a rest, es = a :: rest /\ whole rest = true).
Proof.
  destruct es as [|[now e] es]; [simpl; intuition|].
  destruct e; simpl; try (destruct (over_silent p es) as [-> N]; split; [reflexivity|intros [H|H];
    [discriminate|contradiction]]).
  - destruct (andb _ held); simpl; [destruct (kept_silent p n (Refusal UpstreamUnreachable) es) as [-> N]
      |destruct (over_silent p es) as [-> N]]; (split; [reflexivity|intros [H|H]; [discriminate|contradiction]]).
  - destruct (andb _ (andb _ _)); simpl.
    + destruct (kept_silent p n Answer es) as [-> N]. split; [reflexivity|].
      intros [H|H]; [discriminate|contradiction].
    + destruct (relaying_body p es g t (Nat.min (status / 100) 5) (since cap t now)
        (metered p status kind coding)) as [E W]. split; [exact E|].
      intros [H|H]; [discriminate|eauto].
Qed.

(** The client gets the bytes of the provider's body, in order, no more and no fewer, whatever else
    happens; and its stream ends cleanly only where the provider's did. *)
Theorem faithful p n k es : relayed (acts p (Asked _ n k) es) = answer_of p n k es /\
  (In Finish (map fst (acts p (Asked _ n k) es)) ->
   exists before rest, es = before ++ rest /\ 0 < length before <= 2 /\ whole rest = true).
Proof.
  destruct es as [|[now e] es]; [simpl; intuition|].
  assert (G : (exists g, e = Granted _ g) \/ forall g, e <> Granted _ g)
    by (destruct e; try (right; intros; discriminate); left; eauto).
  destruct G as [[g ->]|G].
  - simpl. destruct k as [[|r]|]; simpl; destruct (sent_body p n g now es) as [-> W];
      (split; [destruct es as [|[? []] ?]; reflexivity|]); (intros [H|H]; [discriminate|]);
      destruct (W H) as (b & rest & -> & Y); exists [(now, Granted _ g); b], rest; simpl; repeat split; auto; lia.
  - destruct k as [[|r]|].
    + destruct (passing_body p es) as [E W].
      destruct e; try (exfalso; eapply G; reflexivity); simpl; rewrite E; (split; [reflexivity|]);
        (intros [H|H]; [discriminate|]); eexists [_], es; simpl; repeat split; auto; lia.
    + destruct (over_silent p es) as [E N].
      destruct e; try (exfalso; eapply G; reflexivity); simpl; rewrite E; (split; [reflexivity|]);
        (intros [H|H]; [discriminate|contradiction]).
    + destruct (over_silent p es) as [E N].
      destruct e; try (exfalso; eapply G; reflexivity); simpl; rewrite E; (split; [reflexivity|]);
        (intros [H|H]; [discriminate|contradiction]).
Qed.

(** * Sessions apart *)

(** The request that an input is about. *)
Definition about (en : enclave) (i : input B Rules) : option nat :=
  match i with
  | Ask _ _ _ _ | Anew _ _ _ => Some (S (b_requests _ (e_books _ _ _ _ en)))
  | Take _ _ r | Slow _ _ r | Happens _ _ r _ | Gone _ _ r => Some r
  | _ => None
  end.

Definition tells (o : list output) r s b := exists a, In (ToClient _ _ _ r s a b) o.
Definition sends (o : list output) r p := exists g, In (ToProvider _ _ _ r g p) o.

Lemma live_tells en now q sl x e en' o : live en now q sl x e = (en', o) ->
  (forall r s b, tells o r s b -> r = q /\ s = s_session _ _ _ sl /\ b = bytes_of B e) /\
  (forall r p, sends o r p -> r = q /\ p = s_plan _ _ _ sl) /\
  exists x', e_slots _ _ _ _ en' = set (e_slots _ _ _ _ en) q
    (Some (Build_slot _ _ _ (s_session _ _ _ sl) (s_plan _ _ _ sl) (Running x'))).
Proof.
  unfold Machines.live, close. destruct (exchange (s_plan _ _ _ sl) now x e) as [[x' a] u]. intros H.
  assert (O : (forall r s b, tells (match a, e with
      | Send, Granted _ g => [ToProvider _ _ _ q g (s_plan _ _ _ sl)]
      | _, _ => [ToClient _ _ _ q (s_session _ _ _ sl) a (bytes_of B e)] end) r s b ->
      r = q /\ s = s_session _ _ _ sl /\ b = bytes_of B e) /\
    (forall r p, sends (match a, e with
      | Send, Granted _ g => [ToProvider _ _ _ q g (s_plan _ _ _ sl)]
      | _, _ => [ToClient _ _ _ q (s_session _ _ _ sl) a (bytes_of B e)] end) r p ->
      r = q /\ p = s_plan _ _ _ sl)).
  { split; [intros r s b [a' I]|intros r p [g I]]; destruct a, e; simpl in I;
      destruct I as [I|[]]; inv I; auto. }
  destruct O as [O1 O2].
  destruct u; inv H; (split; [|split; [|eexists; reflexivity]]).
  - intros r s b [a' [I|I]]; [discriminate|]. apply O1. exists a'; exact I.
  - intros r p [g [I|I]]; [discriminate|]. apply O2. exists g; exact I.
  - exact O1.
  - exact O2.
Qed.

Lemma drop_tells (en : enclave) r m (en' : enclave) o : drop_asked B Rules M Word no_word en r m = (en', o) ->
  (forall q s b, ~ tells o q s b) /\ (forall q p, ~ sends o q p) /\
  e_slots _ _ _ _ en' = e_slots _ _ _ _ en.
Proof.
  unfold drop_asked, close. intros H. destruct m as [[]|]; inv H; simpl;
    (split; [intros q s b [a I]|split; [intros q p [g' I]|reflexivity]]);
    simpl in I; repeat destruct I as [I|I]; try discriminate; contradiction.
Qed.

(** What a client is told comes of an input about its own request, in its own session, and the bytes
    are those that just arrived for it. What leaves for a provider is the plan of that request. *)
Definition own (en : enclave) (i : input B Rules) (en' : enclave) (o : list output) := forall r,
  (forall s b, tells o r s b -> about en i = Some r /\
     (b = [] \/ exists e, i = Happens _ _ r e /\ b = bytes_of B e) /\
     exists sl, e_slots _ _ _ _ en' r = Some sl /\ s_session _ _ _ sl = s) /\
  (forall p, sends o r p -> i = Take _ _ r /\
     exists sl, e_slots _ _ _ _ en r = Some sl /\ s_plan _ _ _ sl = p).

Ltac silent := let Y := fresh in intros ?; split; [intros ? ? [? Y]|intros ? [? Y]]; simpl in Y;
  repeat destruct Y as [Y|Y]; try discriminate; try contradiction.

Lemma asked_own en now q s p n kp m k e en1 o1 en' o2 i :
  e_slots _ _ _ _ en q = Some (Build_slot _ _ _ s p (Asking n kp m)) -> about en i = Some q ->
  (forall g, e = Granted B g -> i = Take B Rules q) -> bytes_of B e = [] ->
  drop_asked B Rules M Word no_word en q k = (en1, o1) ->
  live en1 now q (Build_slot _ _ _ s p (Asking n kp None)) (Asked _ n kp) e = (en', o2) ->
  own en i en' (o1 ++ o2).
Proof.
  intros S A T Z D L r. destruct (drop_tells _ _ _ _ _ D) as (D1 & D2 & D3).
  destruct (live_tells _ _ _ _ _ _ _ _ L) as (L1 & L2 & x & L3). split.
  - intros s' b [a I]. apply in_app_or in I as [I|I]; [exfalso; eapply D1; exists a; eauto|].
    destruct (L1 r s' b) as (-> & -> & ->); [exists a; auto|].
    split; [auto|split; [left; auto|]]. rewrite L3. unfold set. rewrite Nat.eqb_refl. eauto.
  - intros p' [g I]. apply in_app_or in I as [I|I]; [exfalso; eapply D2; exists g; eauto|].
    destruct (L2 r p') as (-> & ->); [exists g; auto|]. split; [|eauto].
    apply T with g. revert L I. unfold Machines.live, close.
    destruct kp as [[|]|], e; simpl; intros L I; inv L;
      simpl in I; destruct I as [I|[]]; inv I; reflexivity.
Qed.
Lemma running_own en now q s p x e i en' o :
  e_slots _ _ _ _ en q = Some (Build_slot _ _ _ s p (Running x)) -> about en i = Some q ->
  (forall n k, x <> Asked _ n k) -> i = Happens _ _ q e \/ bytes_of B e = [] ->
  live en now q (Build_slot _ _ _ s p (Running x)) x e = (en', o) -> own en i en' o.
Proof.
  intros S A N Z L r. destruct (live_tells _ _ _ _ _ _ _ _ L) as (L1 & L2 & x' & L3). split.
  - intros s' b T. destruct (L1 r s' b T) as (-> & -> & ->). split; [auto|]. split.
    + destruct Z; eauto.
    + rewrite L3. unfold set. rewrite Nat.eqb_refl. eauto.
  - intros p' [g I]. exfalso. revert L I. unfold Machines.live, close.
    destruct x; [exfalso; eapply N; reflexivity|..]; destruct e; simpl;
      try (unfold sent; repeat match goal with |- context [if ?b then _ else _] => destruct b end);
      intros L I; inv L; simpl in I; repeat destruct I as [I|I]; try discriminate; contradiction.
Qed.

(** No exchange that runs is still asking, and no mailbox holds bytes of a body. *)
Definition sane_slot (s : option slot) := match s with
  | Some {| s_phase := Machines.Running _ _ x |} => forall n k, x <> Asked _ n k
  | Some {| s_phase := Machines.Asking _ _ _ _ (Some e) |} => bytes_of B e = []
  | _ => True
  end.
Definition sane (en : enclave) := forall r, sane_slot (e_slots _ _ _ _ en r).

(** What comes of the next question is about it. *)
Lemma question_own en now c p n k en' o : question en now c p n k = (en', o) ->
  (forall r s b, tells o r s b -> r = S (b_requests _ (e_books _ _ _ _ en)) /\ b = [] /\
    exists sl, e_slots _ _ _ _ en' r = Some sl /\ s_session _ _ _ sl = s) /\
  (forall r q, ~ sends o r q).
Proof.
  unfold Machines.question. destruct (if e_up _ _ _ _ en then _ else _) as [b|].
  - intros H; inv H. split; [intros r s' b' [a [I|[]]]; discriminate|intros r q [g [I|[]]]; discriminate].
  - intros L. destruct (live_tells _ _ _ _ _ _ _ _ L) as (L1 & L2 & x & L3). split.
    + intros r s' b T. destruct (L1 r s' b T) as (-> & -> & ->). split; [reflexivity|split; [auto|]].
      rewrite L3. unfold set. simpl. rewrite Nat.eqb_refl. eauto.
    + intros r q [g I]. revert L I. unfold Machines.live, close. simpl.
      destruct k as [[|]|]; intros L I; inv L; simpl in I; repeat destruct I as [I|I];
        try discriminate; contradiction.
Qed.

Lemma isolation en now i en' o : sane en -> step en now i = (en', o) -> own en i en' o.
Proof.
  intros W. destruct i as [| |f|s p|q|q|q|q e|q]; unfold Machines.step.
  - intros H; inv H. intros r. split; [intros s b [a I]|intros p [g I]]; destruct I as [I|I];
      try discriminate; apply in_map_iff in I as (u & E & _); discriminate.
  - intros H; inv H. silent.
  - destruct (e_up _ _ _ _ en); [|intros H; inv H; silent].
    destruct (receive _ _ _ f) as [b []]; intros H; inv H; silent.
  - intros H. destruct (question_own _ _ _ _ _ _ _ _ H) as [Q1 Q2]. intros r. split.
    + intros s' b T. destruct (Q1 r s' b T) as (-> & -> & Y). simpl. auto.
    + intros p' I. exfalso. eapply Q2, I.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|[]]]|] eqn:Q; try (intros H; inv H; silent; fail).
    intros H. destruct (question_own _ _ _ _ _ _ _ _ H) as [Q1 Q2]. intros r. split.
    + intros s' b T. destruct (Q1 r s' b T) as (-> & -> & Y). simpl. auto.
    + intros p' I. exfalso. eapply Q2, I.
  - specialize (W q).
    destruct (e_slots _ _ _ _ en q) as [[s p [n k [e|]|x]]|] eqn:Q; try (intros H; inv H; silent; fail).
    destruct (drop_asked _ _ _ _ _ en q None) as [en1 o1] eqn:D.
    destruct (live en1 now q _ (Asked _ n k) e) as [en2 o2] eqn:L. intros H; inv H.
    eapply asked_own; eauto.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q; try (intros H; inv H; silent; fail).
    destruct (drop_asked _ _ _ _ _ en q m) as [en1 o1] eqn:D.
    destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. intros H; inv H.
    eapply asked_own; eauto; [discriminate|reflexivity].
  - specialize (W q).
    destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q; try (intros H; inv H; silent; fail).
    intros L. eapply running_own; eauto.
  - specialize (W q).
    destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|] eqn:Q; [| |intros H; inv H; silent].
    + destruct (drop_asked _ _ _ _ _ en q m) as [en1 o1] eqn:D.
      destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. intros H; inv H.
      eapply asked_own; eauto; [discriminate|reflexivity].
    + intros L. eapply running_own with (e := ClientGone B);
        [exact Q|reflexivity|exact W|right; reflexivity|exact L].
Qed.

Lemma never_asked p now x e y a u : exchange p now x e = (y, a, u) -> forall n k, y <> Asked _ n k.
Proof.
  intros H n' k'. destruct x as [n [[|rr]|]|n g t|g t c f m|n k| |]; destruct e; simpl in H;
    try (unfold sent in H; simpl in H; repeat match type of H with
      context [if ?b then _ else _] => destruct b end); inv H; discriminate.
Qed.
Lemma live_sane en now q sl x e en' o : sane en -> live en now q sl x e = (en', o) -> sane en'.
Proof.
  intros W. unfold Machines.live, close.
  destruct (exchange (s_plan _ _ _ sl) now x e) as [[x' a] u] eqn:X. intros H r.
  pose proof (never_asked _ _ _ _ _ _ _ X) as Y.
  destruct u; inv H; simpl; unfold set; (destruct (r =? q); [exact Y|apply W]).
Qed.
Lemma mail_sane e s : bytes_of B e = [] -> sane_slot s -> sane_slot (option_map (mail _ _ _ e) s).
Proof. intros E. destruct s as [[s p [n k []|]]|]; simpl; auto. Qed.
Lemma down_sane en : sane en -> sane (down _ _ _ _ en).
Proof.
  intros W r. simpl. destruct (is_waiting _ _ r); [apply mail_sane; [reflexivity|]|]; apply W.
Qed.
Lemma deliver_sane en r e : bytes_of B e = [] -> sane en -> sane (deliver _ _ _ _ en r e).
Proof.
  intros E W q. simpl. unfold set. destruct (Nat.eqb_spec q r) as [->|N]; [apply mail_sane; auto|]; apply W.
Qed.

Lemma question_sane en now c p n k en' o : sane en -> question en now c p n k = (en', o) -> sane en'.
Proof.
  intros W. unfold Machines.question. destruct (if e_up _ _ _ _ en then _ else _) as [b|].
  - intros H; inv H. intros r. simpl. unfold set. destruct (r =? _); [exact I|apply W].
  - intros L. eapply live_sane; [|exact L]. exact W.
Qed.

Lemma step_sane en now i en' o : sane en -> step en now i = (en', o) -> sane en'.
Proof.
  intros W. destruct i as [| |f|s p|q|q|q|q e|q]; unfold Machines.step.
  - intros H; inv H. exact W.
  - intros H; inv H. apply down_sane, W.
  - destruct (e_up _ _ _ _ en); [|intros H; inv H; exact W].
    destruct (receive _ _ _ f) as [b []]; unfold close; intros H; inv H; try exact W;
      [apply down_sane, W|apply deliver_sane; [reflexivity|exact W]..].
  - apply question_sane, W.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|[]]]|]; try (intros H; inv H; exact W).
    apply question_sane. intros r. simpl. unfold set. destruct (r =? q); [discriminate|apply W].
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k [e|]|x]]|]; try (intros H; inv H; exact W).
    destruct (drop_asked _ _ _ _ _ en q None) as [en1 o1] eqn:D.
    destruct (live en1 now q _ (Asked _ n k) e) as [en2 o2] eqn:L. intros H; inv H.
    eapply live_sane; [|exact L]. intros r. rewrite (proj2 (proj2 (drop_tells _ _ _ _ _ D))). apply W.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|]; try (intros H; inv H; exact W).
    destruct (drop_asked _ _ _ _ _ en q m) as [en1 o1] eqn:D.
    destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. intros H; inv H.
    eapply live_sane; [|exact L]. intros r. rewrite (proj2 (proj2 (drop_tells _ _ _ _ _ D))). apply W.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|]; try (intros H; inv H; exact W).
    intros L. eapply live_sane; [|exact L]. exact W.
  - destruct (e_slots _ _ _ _ en q) as [[s p [n k m|x]]|]; try (intros H; inv H; exact W).
    + destruct (drop_asked _ _ _ _ _ en q m) as [en1 o1] eqn:D.
      destruct (live en1 now q _ (Asked _ n k) _) as [en2 o2] eqn:L. intros H; inv H.
      eapply live_sane; [|exact L]. intros r. rewrite (proj2 (proj2 (drop_tells _ _ _ _ _ D))). apply W.
    + intros L. eapply live_sane; [|exact L]. exact W.
Qed.

(** ... and that at every step of every run. *)
Theorem session_isolation is : forall en o now i en' o', run boot is = (en, o) ->
  step en now i = (en', o') -> own en i en' o'.
Proof.
  assert (R : forall en en' o, sane en -> run en is = (en', o) -> sane en').
  { induction is as [|[now i] is IH]; simpl; intros en en' o W H; [inv H; exact W|].
    destruct (step en now i) as [e1 o1] eqn:E. destruct (run e1 is) as [e2 o2] eqn:F. inv H.
    eapply IH; [|exact F]. eapply step_sane; eauto. }
  intros en o now i en' o' H T. eapply isolation; eauto. eapply R; [|exact H]. intros r. exact I.
Qed.
End OfMachines.
