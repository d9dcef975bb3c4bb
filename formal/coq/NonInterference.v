(** What the host can tell of what passes through.

    The host is a strategy: from all that it has seen it chooses what happens next, when, and which
    frames the enclave gets. What it sees of an output is [view], which is
    `aegis_core::exchange::observable` and the list of SECURITY.md; it is given more than it has, since
    outcomes that it could only guess from sizes are told to it outright. *)
Load Setting.

(** What body bytes on their way to the client show: their number, or the frames of [Padding]. *)
Variable Shape : Type.
Variable shown : list B -> Shape.

(** * The world that the host plays with *)

(** One thing from a provider: the size of its ciphertext, and what it is. *)
Notation item := (nat * event)%type.
(** A client's request to come: session, size, plan, and how the provider will answer. *)
Record request := { q_session : nat; q_size : nat; q_plan : plan; q_answer : list item }.
Record world := { w_enclave : enclave; w_coming : list request; w_answers : nat -> list item }.

Inductive cause := NoConnection (held : bool) | Stranger | Cut | Silence.
Inductive move :=
| MUp | MDown | MFrame (f : frame)
| MAsk                             (* let the next request in *)
| MNext (r : nat)                  (* let the next thing from the provider of r in *)
| MFail (r : nat) (c : cause)      (* do that to the connection to the provider *)
| MTake (r : nat) | MSlow (r : nat) | MGone (r : nat)
| MAnew (r : nat).                 (* let the shell ask for the next attempt of r *)

Inductive view :=
| VHello | VClosed | VUsage (u : usage)
| VAuthorize (session request attempt provider class custody : nat)
| VSend (r provider size : nat)
| VClient (r session : nat) (a : action) (size : Shape)
| VSize (n : nat).

Definition seen_of (o : output) : list view :=
  match o with
  | Hello _ _ _ => [VHello]
  | Closed _ _ _ => [VClosed]
  | Closing _ _ _ _ u | Again _ _ _ u => [VUsage u]
  | Authorize _ _ _ s r a p k c => [VAuthorize s r a p k c]
  | ToProvider _ _ _ r _ p => [VSend r (p_provider _ _ p) (length (p_request _ _ p))]
  | ToClient _ _ _ r s a b => [VClient r s a (shown b)]
  | Accepted _ _ _ _ _ => []
  end.
Definition views (o : list output) := flat_map seen_of o.

Definition caused (c : cause) : event :=
  match c with
  | NoConnection held => Unreachable _ held | Stranger => NotTheProvider _
  | Cut => Lost _ | Silence => Timeout _
  end.
Definition runs (en : enclave) r := match e_slots _ _ _ _ en r with
  | Some {| s_phase := Machines.Running _ _ _ |} => true | _ => false end.
Definition due (en : enclave) r := match e_slots _ _ _ _ en r with
  | Some {| s_phase := Machines.Running _ _ (Kept _ _ _) |} => true | _ => false end.
Definition same_world w (x : enclave * list output) : world * list view :=
  ({| w_enclave := fst x; w_coming := w_coming w; w_answers := w_answers w |}, views (snd x)).

Definition play (w : world) (now : nat) (m : move) : world * list view :=
  let en := w_enclave w in
  match m with
  | MUp => same_world w (step en now (Up _ _))
  | MDown => same_world w (step en now (Down _ _))
  | MFrame f => same_world w (step en now (FromHost _ _ f))
  | MTake r => same_world w (step en now (Take _ _ r))
  | MSlow r => same_world w (step en now (Slow _ _ r))
  | MGone r => same_world w (step en now (Gone _ _ r))
  | MFail r c => same_world w (step en now (Happens _ _ r (caused c)))
  | MAnew r => if due en r then
      let (en', o) := step en now (Anew _ _ r) in
      ({| w_enclave := en'; w_coming := w_coming w;
          w_answers := fun x => if x =? S (b_requests _ (e_books _ _ _ _ en)) then w_answers w r
                                else w_answers w x |}, views o)
      else (w, [])
  | MNext r => if runs en r then
      match w_answers w r with
      | [] => (w, [])
      | (n, e) :: rest =>
          let (en', o) := step en now (Happens _ _ r e) in
          ({| w_enclave := en'; w_coming := w_coming w;
              w_answers := fun x => if x =? r then rest else w_answers w x |}, VSize n :: views o)
      end else (w, [])
  | MAsk => match w_coming w with
      | [] => (w, [])
      | q :: rest =>
          let (en', o) := step en now (Ask _ _ (q_session q) (q_plan q)) in
          ({| w_enclave := en'; w_coming := rest;
              w_answers := fun x => if x =? S (b_requests _ (e_books _ _ _ _ en)) then q_answer q
                                    else w_answers w x |}, VSize (q_size q) :: views o)
      end
  end.

(** The host's game: n moves, each chosen from all that was seen before. *)
Fixpoint game (host : list view -> nat * move) (n : nat) (w : world) (seen : list view) : list view :=
  match n with
  | 0 => seen
  | S n => let (now, m) := host seen in
           let (w', v) := play w now m in game host n w' (seen ++ v)
  end.

(** * Two worlds that differ in content only *)
Definition alike_plan (p p' : plan) := p_provider _ _ p = p_provider _ _ p' /\
  p_class _ _ p = p_class _ _ p' /\ p_custody _ _ p = p_custody _ _ p' /\
  p_again _ _ p = p_again _ _ p' /\ length (p_request _ _ p) = length (p_request _ _ p').

Definition plain (e : event) := match e with
  | Machines.Chunk _ _ | Machines.Head _ _ _ _ _ => False | _ => True end.
Inductive like : event -> event -> Prop :=
| l_chunk b b' : shown b = shown b' -> like (Chunk b) (Chunk b')
| l_head s k c h s' k' c' h' : s / 100 = s' / 100 -> like (Head s k c h) (Head s' k' c' h')
| l_plain e : plain e -> like e e.
Definition like_item (i i' : item) := fst i = fst i' /\ like (snd i) (snd i').
Notation likes := (Forall2 like_item).

Section Alike.
Variables p p' : plan.
Hypothesis again : p_again _ _ p = p_again _ _ p'.
(** Bodies that show alike, whose metering comes to the same wherever they are cut. *)
Inductive stream : option M -> option M -> list item -> list item -> Prop :=
| st_end m m' : told p m = told p' m' -> stream m m' [] []
| st_chunk m m' n b b' l l' : told p m = told p' m' -> shown b = shown b' ->
    stream (option_map (fun m => push m b) m) (option_map (fun m => push m b') m') l l' ->
    stream m m' ((n, Chunk b) :: l) ((n, Chunk b') :: l')
| st_other m m' n e e' l l' : told p m = told p' m' -> (forall b, e <> Chunk b) -> like e e' ->
    likes l l' -> stream m m' ((n, e) :: l) ((n, e') :: l').
(** Whether a head allows another attempt: the host learns that when it is asked again. *)
Definition allows (h : bool) (s : nat) := andb h (transient s).
(** Answers of the same status class whose bodies are such, and that allow another attempt or not; what
    the provider says then is such an answer too. *)
Inductive alike_answer : list item -> list item -> Prop :=
| an_none : alike_answer [] []
| an_head n s k c h s' k' c' h' l l' : s / 100 = s' / 100 -> allows h s = allows h' s' ->
    stream (metered p s k c) (metered p' s' k' c') l l' ->
    (allows h s = true -> alike_answer l l') ->
    alike_answer ((n, Head s k c h) :: l) ((n, Head s' k' c' h') :: l')
| an_other n e e' l l' : (forall s k c h, e <> Head s k c h) -> (forall h, e <> Unreachable _ h) -> like e e' -> likes l l' ->
    alike_answer ((n, e) :: l) ((n, e') :: l').
Inductive alike_state : state -> state -> list item -> list item -> Prop :=
| al_asked n k l l' : alike_answer l l' -> alike_state (Asked _ n k) (Asked _ n k) l l'
| al_sent n g t l l' : alike_answer l l' -> alike_state (Sent _ n g t) (Sent _ n g t) l l'
| al_relaying g t c f m m' l l' : stream m m' l l' ->
    alike_state (Relaying _ g t c f m) (Relaying _ g t c f m') l l'
| al_kept n k l l' : alike_answer l l' -> alike_state (Kept _ n k) (Kept _ n k) l l'
| al_passing l l' : likes l l' -> alike_state (Passing _) (Passing _) l l'
| al_over l l' : likes l l' -> alike_state (Over _) (Over _) l l'.

Lemma stream_likes m m' l l' : stream m m' l l' -> likes l l'.
Proof.
  induction 1; constructor; auto; split; simpl; auto using l_chunk.
Qed.
Lemma answer_likes l l' : alike_answer l l' -> likes l l'.
Proof.
  destruct 1; constructor; auto; try (split; simpl; auto using l_head; fail).
  eapply stream_likes; eauto.
Qed.
Lemma stream_told m m' l l' : stream m m' l l' -> told p m = told p' m'.
Proof. destruct 1; auto. Qed.

Ltac equal := repeat match goal with
  | H : _ / 100 = _ / 100 |- _ => rewrite H; clear H
  | H : told p _ = told p' _ |- _ => rewrite H; clear H end.
Tactic Notation "absurd" := exfalso; match goal with
  | N : forall _ _ _ _, _ <> _ |- _ => eapply N; reflexivity
  | N : forall _, _ <> _ |- _ => eapply N; reflexivity end.
Tactic Notation "over" constr(L) := do 4 eexists;
  (split; [reflexivity|split; [reflexivity|apply al_over; exact L]]).

Lemma state_likes x x' l l' : alike_state x x' l l' -> likes l l'.
Proof. destruct 1; eauto using stream_likes, answer_likes. Qed.

(** The same thing happens to both, or the next of both answers arrives: the same is done, and the
    same is told. *)
Lemma same_event now x x' l l' e : plain e -> alike_state x x' l l' ->
  exists y y' a u, exchange p now x e = (y, a, u) /\ exchange p' now x' e = (y', a, u) /\
    alike_state y y' l l'.
Proof.
  intros P A. pose proof (state_likes _ _ _ _ A) as L.
  inv A; try match goal with k : option kept |- _ => destruct k as [[|?]|] end; destruct e; simpl in P; try contradiction;
    try (simpl; try match goal with H : stream _ _ _ _ |- _ => rewrite (stream_told _ _ _ _ H) end;
      do 4 eexists; (split; [reflexivity|split; [reflexivity|]]);
      first [apply al_over; exact L | apply al_sent; assumption | apply al_passing; exact L]; fail).
  simpl. unfold may_again. rewrite <- again. destruct (p_again _ _ p && (n <? attempts) && held);
    do 4 eexists; (split; [reflexivity|split; [reflexivity|]]);
    [apply al_kept; assumption|apply al_over; exact L].
Qed.
Lemma next_event now x x' n n' e e' l l' : (forall j k, x <> Asked _ j k) ->
  alike_state x x' ((n, e) :: l) ((n', e') :: l') ->
  n = n' /\ like e e' /\ exists y y' a u,
    exchange p now x e = (y, a, u) /\ exchange p' now x' e' = (y', a, u) /\ alike_state y y' l l'.
Proof.
  intros N A. assert (L : likes l l') by (apply state_likes in A; inv A; auto).
  assert (I : n = n' /\ like e e') by (apply state_likes in A; inv A; auto).
  destruct I as [-> K]. split; [auto|split; [auto|]]. inv A; try (exfalso; eapply N; reflexivity).
  - match goal with H : alike_answer _ _ |- _ => inv H end.
    + cbn -[Nat.div Nat.min transient]. unfold may_again, allows in *. rewrite <- again.
      match goal with H : andb _ _ = andb _ _ |- _ => rewrite <- H end.
      assert (T : told p (metered p s k c) = told p' (metered p' s' k' c'))
        by (eapply stream_told; eassumption).
      match goal with H : s / 100 = s' / 100 |- _ => rewrite H end.
      destruct (p_again _ _ p && _ && (h && transient s)) eqn:D.
      * rewrite T. do 4 eexists. split; [reflexivity|split; [reflexivity|]]. apply al_kept.
        apply andb_true_iff in D. tauto.
      * do 4 eexists. split; [reflexivity|split; [reflexivity|]]. apply al_relaying; auto.
    + inv K; [over L|absurd|destruct e'; simpl in *; try contradiction; first [over L|absurd]].
  - match goal with H : stream _ _ _ _ |- _ => inv H end.
    + do 4 eexists. split; [reflexivity|split; [reflexivity|apply al_relaying; auto]].
    + inv K; [absurd|simpl; equal; over L|].
      destruct e'; simpl in *; try contradiction; equal; over L.
  - simpl. over L.
  - inv K; [|simpl; over L|destruct e'; simpl in *; try contradiction; over L].
    simpl. do 4 eexists. split; [reflexivity|split; [reflexivity|apply al_passing; exact L]].
  - simpl. over L.
Qed.
End Alike.

Inductive alike_slot : option slot -> option slot -> list item -> list item -> Prop :=
| as_none l l' : likes l l' -> alike_slot None None l l'
| as_asking s p p' n k m l l' : alike_plan p p' -> alike_answer p p' l l' ->
    (forall e, m = Some e -> plain e) ->
    alike_slot (Some (Build_slot _ _ _ s p (Asking n k m))) (Some (Build_slot _ _ _ s p' (Asking n k m))) l l'
| as_running s p p' x x' l l' : alike_plan p p' -> (forall n k, x <> Asked _ n k) -> alike_state p p' x x' l l' ->
    alike_slot (Some (Build_slot _ _ _ s p (Running x))) (Some (Build_slot _ _ _ s p' (Running x'))) l l'.

Definition alike_enclave (en en' : enclave) (a a' : nat -> list item) : Prop :=
  e_books _ _ _ _ en = e_books _ _ _ _ en' /\ e_up _ _ _ _ en = e_up _ _ _ _ en' /\
  forall r, alike_slot (e_slots _ _ _ _ en r) (e_slots _ _ _ _ en' r) (a r) (a' r).
Definition alike_request (q q' : request) : Prop := q_session q = q_session q' /\
  q_size q = q_size q' /\ alike_plan (q_plan q) (q_plan q') /\
  alike_answer (q_plan q) (q_plan q') (q_answer q) (q_answer q').
Definition alike_world (w w' : world) : Prop :=
  alike_enclave (w_enclave w) (w_enclave w') (w_answers w) (w_answers w') /\
  Forall2 alike_request (w_coming w) (w_coming w').

Definition instead {A} (f : nat -> A) r v := fun x => if x =? r then v else f x.

(** One exchange steps in both; nothing else changes. *)
Lemma live_alike en en' now r s p p' ph ph' x x' e e' a a' l l' y y' act u :
  alike_enclave en en' a a' -> alike_plan p p' -> like e e' ->
  exchange p now x e = (y, act, u) -> exchange p' now x' e' = (y', act, u) ->
  (forall n k, y <> Asked _ n k) -> alike_state p p' y y' l l' ->
  let o := live en now r (Build_slot _ _ _ s p ph) x e in
  let o' := live en' now r (Build_slot _ _ _ s p' ph') x' e' in
  views (snd o) = views (snd o') /\
  alike_enclave (fst o) (fst o') (instead a r l) (instead a' r l').
Proof.
  intros (E1 & E2 & E3) P K X X' N A. unfold Machines.live. simpl. rewrite X, X'.
  assert (V : views (match act, e with
      | Send, Granted _ g => [ToProvider _ _ _ r g p]
      | _, _ => [ToClient _ _ _ r s act (bytes_of B e)] end) =
    views (match act, e' with
      | Send, Granted _ g => [ToProvider _ _ _ r g p']
      | _, _ => [ToClient _ _ _ r s act (bytes_of B e')] end)).
  { destruct P as (P1 & _ & _ & _ & P4). inv K; simpl; [destruct act; simpl; rewrite H; auto| |].
    - destruct act; reflexivity.
    - destruct act, e'; simpl; rewrite ?P1, ?P4; reflexivity. }
  assert (Z : forall q, alike_slot
    (set (e_slots _ _ _ _ en) r (Some (Build_slot _ _ _ s p (Running y))) q)
    (set (e_slots _ _ _ _ en') r (Some (Build_slot _ _ _ s p' (Running y'))) q)
    (instead a r l q) (instead a' r l' q)).
  { intros q. unfold set, instead. destruct (q =? r); [apply as_running; auto|apply E3]. }
  destruct u as [u|]; simpl; (split; [|unfold alike_enclave; simpl; rewrite ?E1; auto]).
  - unfold views in *. rewrite ?flat_map_app. simpl in *. rewrite V. reflexivity.
  - exact V.
Qed.
(** * Every move keeps two such worlds alike, and shows the same *)
Lemma never_asked p now x e y a u : exchange p now x e = (y, a, u) -> forall n k, y <> Asked _ n k.
Proof.
  intros H n' k'. destruct x as [n [[|rr]|]|n g t|g t c f m|n k| |]; destruct e; simpl in H;
    try (unfold sent in H; simpl in H; repeat match type of H with
      context [if ?b then _ else _] => destruct b end); inv H; discriminate.
Qed.
Lemma again_of p p' : alike_plan p p' -> p_again _ _ p = p_again _ _ p'.
Proof. unfold alike_plan. tauto. Qed.
Lemma alike_same en en' a a' r : alike_enclave en en' (instead a r (a r)) (instead a' r (a' r)) ->
  alike_enclave en en' a a'.
Proof.
  intros (E1 & E2 & E3). split; [auto|split; [auto|]]. intros q. specialize (E3 q).
  unfold instead in E3. destruct (Nat.eqb_spec q r); subst; exact E3.
Qed.
Lemma mail_alike e s s' l l' : plain e -> alike_slot s s' l l' ->
  alike_slot (option_map (mail _ _ _ e) s) (option_map (mail _ _ _ e) s') l l'.
Proof.
  intros P A. inv A; simpl.
  - apply as_none; auto.
  - destruct m; apply as_asking; auto. intros e' E. inv E. auto.
  - apply as_running; auto.
Qed.
Lemma book_alike en en' a a' b : alike_enclave en en' a a' ->
  alike_enclave (book _ _ _ _ en b) (book _ _ _ _ en' b) a a'.
Proof. intros (E1 & E2 & E3). split; [reflexivity|split; auto]. Qed.
Lemma down_alike en en' a a' : alike_enclave en en' a a' ->
  alike_enclave (down _ _ _ _ en) (down _ _ _ _ en') a a'.
Proof.
  intros (E1 & E2 & E3). unfold down. rewrite E1. split; [reflexivity|split; [reflexivity|]].
  intros q. simpl. destruct (is_waiting _ _ q); [apply mail_alike; [exact I|]|]; apply E3.
Qed.
Lemma deliver_alike en en' a a' r e : plain e -> alike_enclave en en' a a' ->
  alike_enclave (deliver _ _ _ _ en r e) (deliver _ _ _ _ en' r e) a a'.
Proof.
  intros P (E1 & E2 & E3). split; [auto|split; [auto|]]. intros q. simpl. unfold set.
  destruct (Nat.eqb_spec q r) as [->|N]; auto. apply mail_alike; auto.
Qed.
Lemma drop_alike en en' a a' r m : alike_enclave en en' a a' ->
  let o := drop_asked _ _ _ _ no_word en r m in let o' := drop_asked _ _ _ _ no_word en' r m in
  views (snd o) = views (snd o') /\ alike_enclave (fst o) (fst o') a a'.
Proof.
  intros A. pose proof A as (E1 & E2 & E3). unfold drop_asked, close.
  destruct m as [[]|]; simpl; rewrite ?E1; (split; [reflexivity|]);
    repeat apply book_alike; exact A.
Qed.

(** The question is dropped, then the exchange hears an event that is the same in both. *)
Lemma asked_alike en en' a a' now r s p p' n k m d e :
  alike_enclave en en' a a' -> plain e ->
  e_slots _ _ _ _ en r = Some (Build_slot _ _ _ s p (Asking n k m)) ->
  e_slots _ _ _ _ en' r = Some (Build_slot _ _ _ s p' (Asking n k m)) ->
  alike_plan p p' -> alike_answer p p' (a r) (a' r) ->
  let run en p := let (en1, o) := drop_asked _ _ _ _ no_word en r d in
    let (en2, o') := live en1 now r (Build_slot _ _ _ s p (Asking n k None)) (Asked _ n k) e in (en2, o ++ o') in
  views (snd (run en p)) = views (snd (run en' p')) /\
  alike_enclave (fst (run en p)) (fst (run en' p')) a a'.
Proof.
  intros A P S S' L W run. unfold run. destruct (drop_alike en en' a a' r d A) as [V D].
  destruct (drop_asked _ _ _ _ _ en r d) as [en1 o1].
  destruct (drop_asked _ _ _ _ _ en' r d) as [en1' o1']. simpl in V, D.
  destruct (same_event p p' (again_of _ _ L) now _ _ _ _ e P (al_asked _ _ n k _ _ W)) as (y & y' & act & u & X & X' & Y).
  destruct (live_alike en1 en1' now r s p p' (Asking n k None) (Asking n k None) _ _ e e a a' _ _ _ _ _ _ D L (l_plain e P) X X'
    (never_asked _ _ _ _ _ _ _ X) Y) as [V2 D2].
  destruct (live en1 now r _ (Asked _ n k) e) as [en2 o2].
  destruct (live en1' now r _ (Asked _ n k) e) as [en2' o2']. simpl in *.
  split; [unfold views in *; rewrite !flat_map_app; congruence|eapply alike_same; exact D2].
Qed.
Lemma running_alike en en' a a' now r s p p' x x' e : alike_enclave en en' a a' -> plain e ->
  alike_plan p p' -> alike_state p p' x x' (a r) (a' r) ->
  let o := live en now r (Build_slot _ _ _ s p (Running x)) x e in
  let o' := live en' now r (Build_slot _ _ _ s p' (Running x')) x' e in
  views (snd o) = views (snd o') /\ alike_enclave (fst o) (fst o') a a'.
Proof.
  intros A P L W.
  destruct (same_event p p' (again_of _ _ L) now _ _ _ _ e P W) as (y & y' & act & u & X & X' & Y).
  destruct (live_alike en en' now r s p p' (Running x) (Running x') _ _ e e a a' _ _ _ _ _ _ A L (l_plain e P) X X'
    (never_asked _ _ _ _ _ _ _ X) Y) as [V D].
  split; [exact V|eapply alike_same; exact D].
Qed.

Definition shows_same (x x' : enclave * list output) a a' :=
  views (snd x) = views (snd x') /\ alike_enclave (fst x) (fst x') a a'.

Lemma frame_alike en en' a a' now f : alike_enclave en en' a a' ->
  shows_same (step en now (FromHost _ _ f)) (step en' now (FromHost _ _ f)) a a'.
Proof.
  intros A. pose proof A as (E1 & E2 & E3). unfold Machines.step. rewrite <- E1, <- E2.
  destruct (e_up _ _ _ _ en); [|split; simpl; auto].
  destruct (receive _ _ _ f) as [b []]; unfold close; simpl; (split; [reflexivity|simpl]).
  - apply down_alike, book_alike, A.
  - apply deliver_alike; [exact I|apply book_alike, A].
  - apply deliver_alike; [exact I|apply book_alike, A].
  - apply book_alike, book_alike, A.
  - apply book_alike, A.
Qed.

Lemma happens_alike en en' a a' now r e : alike_enclave en en' a a' -> plain e ->
  shows_same (step en now (Happens _ _ r e)) (step en' now (Happens _ _ r e)) a a'.
Proof.
  intros A P. pose proof A as (E1 & E2 & E3). unfold Machines.step. specialize (E3 r).
  inv E3; try (split; simpl; auto; fail). apply running_alike; auto.
Qed.
Lemma gone_alike en en' a a' now r : alike_enclave en en' a a' ->
  shows_same (step en now (Gone _ _ r)) (step en' now (Gone _ _ r)) a a'.
Proof.
  intros A. pose proof A as (E1 & E2 & E3). unfold Machines.step. specialize (E3 r).
  inv E3; [split; simpl; auto| |].
  - eapply asked_alike with (m := m); eauto; exact I.
  - apply running_alike; auto; exact I.
Qed.
Lemma take_alike en en' a a' now r : alike_enclave en en' a a' ->
  shows_same (step en now (Take _ _ r)) (step en' now (Take _ _ r)) a a'.
Proof.
  intros A. pose proof A as (E1 & E2 & E3). unfold Machines.step. specialize (E3 r).
  inv E3; try (split; simpl; auto; fail). destruct m as [e|]; [|split; simpl; auto].
  eapply asked_alike with (m := Some e); eauto.
Qed.
Lemma slow_alike en en' a a' now r : alike_enclave en en' a a' ->
  shows_same (step en now (Slow _ _ r)) (step en' now (Slow _ _ r)) a a'.
Proof.
  intros A. pose proof A as (E1 & E2 & E3). unfold Machines.step. specialize (E3 r).
  inv E3; try (split; simpl; auto; fail). eapply asked_alike with (m := m); eauto; exact I.
Qed.
Lemma next_alike en en' a a' now r n n' e e' l l' : alike_enclave en en' a a' -> runs en r = true ->
  a r = (n, e) :: l -> a' r = (n', e') :: l' -> n = n' /\
  shows_same (step en now (Happens _ _ r e)) (step en' now (Happens _ _ r e'))
    (instead a r l) (instead a' r l').
Proof.
  intros A R H H'. pose proof A as (E1 & E2 & E3). unfold Machines.step, runs in *. specialize (E3 r).
  rewrite H, H' in E3. inv E3; try (match goal with Q : _ = e_slots _ _ _ _ en r |- _ =>
    rewrite <- Q in R; discriminate end).
  match goal with W : alike_state _ _ _ _ _ _, P : alike_plan _ _, N : forall _ _, _ <> _ |- _ =>
    destruct (next_event p p' (again_of _ _ P) now _ _ _ _ _ _ _ _ N W)
      as (-> & K & y & y' & act & u & X & X' & Y); rename P into L end.
  split; [reflexivity|]. unfold shows_same.
  apply (live_alike en en' now r s p p' _ _ _ _ e e' a a' _ _ _ _ _ _ A L K X X'
    (never_asked _ _ _ _ _ _ _ X) Y).
Qed.

Lemma question_alike en en' a a' now c p p' n k l l' : alike_enclave en en' a a' ->
  alike_plan p p' -> alike_answer p p' l l' ->
  let r := S (b_requests _ (e_books _ _ _ _ en)) in
  shows_same (question en now c p n k) (question en' now c p' n k) (instead a r l) (instead a' r l').
Proof.
  intros A L W r. pose proof A as (E1 & E2 & E3). pose proof L as (P1 & P2 & P3 & P4).
  unfold Machines.question. rewrite <- E1, <- E2, <- P3.
  destruct (if e_up _ _ _ _ en then _ else _) as [b|].
  - split; simpl; [rewrite P1, P2, P3; reflexivity|]. split; [reflexivity|split; [auto|]].
    intros x. simpl. unfold set, instead. fold r. destruct (x =? r); [|apply E3].
    apply as_asking; auto. discriminate.
  - destruct (same_event _ _ (again_of _ _ L) now _ _ _ _ (HostLost B) (I : plain (HostLost B))
      (al_asked _ _ n k _ _ W)) as (y & y' & act & u & X & X' & Y).
    apply (live_alike _ _ now r c _ _ _ _ _ _ (HostLost B) (HostLost B) a a' _ _ _ _ _ _
      (book_alike _ _ _ _ _ A) L (l_plain (HostLost B) (I : plain (HostLost B))) X X' (never_asked _ _ _ _ _ _ _ X) Y).
Qed.
Lemma ask_alike en en' a a' now q q' : alike_enclave en en' a a' -> alike_request q q' ->
  let r := S (b_requests _ (e_books _ _ _ _ en)) in
  shows_same (step en now (Ask _ _ (q_session q) (q_plan q)))
    (step en' now (Ask _ _ (q_session q') (q_plan q')))
    (instead a r (q_answer q)) (instead a' r (q_answer q')).
Proof.
  intros A (Q1 & _ & L & W) r. unfold Machines.step. rewrite <- Q1. apply question_alike; auto.
Qed.
Lemma anew_alike en en' a a' now r : alike_enclave en en' a a' -> due en r = true ->
  let q := S (b_requests _ (e_books _ _ _ _ en)) in
  shows_same (step en now (Anew _ _ r)) (step en' now (Anew _ _ r))
    (instead a q (a r)) (instead a' q (a' r)).
Proof.
  intros A D q. pose proof A as (E1 & E2 & E3). unfold Machines.step, due in *. pose proof (E3 r) as R.
  inv R; try match goal with H : alike_state _ _ _ _ _ _ |- _ => inv H end;
    repeat match goal with H : _ = e_slots _ _ _ _ en r |- _ => rewrite <- H in * end;
    try discriminate.
  apply question_alike; auto. split; [auto|split; [auto|]]. intros x. simpl. unfold set.
  destruct (Nat.eqb_spec x r) as [->|N]; [|apply E3].
  apply as_running; auto; [discriminate|]. apply al_over. eapply answer_likes; eassumption.
Qed.

Lemma play_alike w w' now m : alike_world w w' ->
  snd (play w now m) = snd (play w' now m) /\ alike_world (fst (play w now m)) (fst (play w' now m)).
Proof.
  intros [A C]. pose proof A as (E1 & E2 & E3).
  assert (G : forall x x', shows_same x x' (w_answers w) (w_answers w') ->
    snd (same_world w x) = snd (same_world w' x') /\
    alike_world (fst (same_world w x)) (fst (same_world w' x')))
    by (intros x x' [V D]; split; [exact V|split; auto]).
  destruct m; unfold play.
  - apply G. split; simpl; [rewrite E1; reflexivity|split; simpl; auto].
  - apply G. split; [reflexivity|apply down_alike, A].
  - apply G, frame_alike, A.
  - destruct (w_coming w) as [|q rest] eqn:W1; destruct (w_coming w') as [|q' rest'] eqn:W2; inv C.
    { split; [reflexivity|split; [exact A|simpl; rewrite W1, W2; constructor]]. }
    match goal with H : alike_request q q' |- _ => rename H into Q end.
    pose proof (ask_alike _ _ _ _ now q q' A Q) as [V D]. destruct Q as (_ & Z & _).
    destruct (step (w_enclave w) now _) as [e1 o1].
    destruct (step (w_enclave w') now _) as [e2 o2].
    simpl in *. split; [congruence|]. split; simpl; [rewrite <- E1; exact D|assumption].
  - assert (R : runs (w_enclave w) r = runs (w_enclave w') r)
      by (unfold runs; specialize (E3 r); inv E3; reflexivity).
    rewrite <- R. destruct (runs (w_enclave w) r) eqn:R1; [|split; [reflexivity|split; auto]].
    assert (L : likes (w_answers w r) (w_answers w' r)).
    { specialize (E3 r). inv E3; eauto using answer_likes, state_likes. }
    destruct (w_answers w r) as [|[n e] l] eqn:H1; destruct (w_answers w' r) as [|[n' e'] l'] eqn:H2;
      inv L; [split; [reflexivity|split; auto]|].
    destruct (next_alike _ _ _ _ now r n n' e e' l l' A R1 H1 H2) as [-> [V D]].
    destruct (step (w_enclave w) now _) as [e1 o1].
    destruct (step (w_enclave w') now _) as [e2 o2].
    simpl in *. split; [congruence|split; [exact D|exact C]].
  - apply G, happens_alike; [exact A|destruct c; exact I].
  - apply G, take_alike, A.
  - apply G, slow_alike, A.
  - apply G, gone_alike, A.
  - assert (R : due (w_enclave w) r = due (w_enclave w') r).
    { unfold due. specialize (E3 r). inv E3; try reflexivity.
      match goal with H : alike_state _ _ _ _ _ _ |- _ => inv H end; reflexivity. }
    rewrite <- R. destruct (due (w_enclave w) r) eqn:D; [|split; [reflexivity|split; auto]].
    destruct (anew_alike _ _ _ _ now r A D) as [V F].
    destruct (step (w_enclave w) now _) as [e1 o1].
    destruct (step (w_enclave w') now _) as [e2 o2].
    simpl in *. split; [exact V|]. split; simpl; [rewrite <- E1; exact F|exact C].
Qed.

Definition booted (coming : list request) : world :=
  {| w_enclave := boot; w_coming := coming; w_answers := fun _ => [] |}.

(** NON-INTERFERENCE against a host that adapts: whatever it does, however it reacts to what it has
    seen, two worlds whose requests and answers differ in content only - same sizes, same providers,
    classes and custodies, same status classes and heads that allow another attempt, same metering
    wherever an answer may be cut - look the same to it, for ever. *)
Theorem noninterference coming coming' : Forall2 alike_request coming coming' ->
  forall host n, game host n (booted coming) [] = game host n (booted coming') [].
Proof.
  intros C host n.
  assert (A : alike_world (booted coming) (booted coming')).
  { split; [|exact C]. split; [reflexivity|split; [reflexivity|]]. intros r. apply as_none. constructor. }
  revert A. generalize (booted coming), (booted coming'), (@nil view).
  induction n as [|n IH]; simpl; intros w w' seen A; [reflexivity|].
  destruct (host seen) as [now m]. destruct (play_alike w w' now m A) as [V D].
  destruct (play w now m) as [w1 v1], (play w' now m) as [w2 v2]. simpl in *. subst v2.
  apply IH, D.
Qed.
End OfMachines.
