(** Padding of the client leg (DESIGN, section 8): what passes travels in frames of a few sizes, each
    one TLS record, so that the host sees how many frames of which size there are, and no lengths.

    The largest size and the choice of a size are parameters. Coalescing over time is not modelled:
    this is about one write. *)
Require Import List Arith Lia.
Require NonInterference.
Import ListNotations.

Section Padding.
Variable B : Type.
Variable zero : B.
Variable top : nat.                     (* what the largest frame carries *)
Variable class : nat -> nat.            (* the size of the frame that carries so many bytes *)
Hypothesis room : 0 < top.
Hypothesis fits : forall n, n <= top -> n <= class n.

(** A frame: how many bytes it carries, and those filled up. Its head has a fixed length. *)
Record frame := { carries : nat; filled : list B }.
Definition fill (b : list B) : frame :=
  {| carries := length b; filled := b ++ repeat zero (class (length b) - length b) |}.
Definition opened (f : frame) : list B := firstn (carries f) (filled f).

Fixpoint cut (fuel : nat) (b : list B) : list frame :=
  match fuel, b with
  | 0, _ | _, [] => []
  | S fuel, _ => if length b <=? top then [fill b]
                 else fill (firstn top b) :: cut fuel (skipn top b)
  end.
Definition frames (b : list B) := cut (length b) b.

(** What the host sees of them. *)
Definition sizes (fs : list frame) := map (fun f => length (filled f)) fs.

Lemma opened_fill b : opened (fill b) = b.
Proof.
  unfold opened, fill. simpl. rewrite firstn_app, Nat.sub_diag, firstn_all. simpl. apply app_nil_r.
Qed.

(** Nothing is lost or changed by it. *)
Theorem padding_lossless b : flat_map opened (frames b) = b.
Proof.
  unfold frames. remember (length b) as n eqn:E. assert (L : length b <= n) by lia. clear E.
  revert b L. induction n as [|n IH]; intros b L; simpl.
  - destruct b; [reflexivity|simpl in L; lia].
  - destruct b as [|x b]; [reflexivity|]. remember (x :: b) as c eqn:C.
    destruct (Nat.leb_spec (length c) top) as [T|T]; simpl; rewrite opened_fill.
    + apply app_nil_r.
    + rewrite IH; [apply firstn_skipn|]. rewrite skipn_length. lia.
Qed.

(** The sizes come from the number of bytes alone ... *)
Fixpoint profile (fuel n : nat) : list nat :=
  match fuel, n with
  | 0, _ | _, 0 => []
  | S fuel, _ => if n <=? top then [class n] else class top :: profile fuel (n - top)
  end.
Lemma filled_length b : length b <= top -> length (filled (fill b)) = class (length b).
Proof. intros L. simpl. rewrite app_length, repeat_length. pose proof (fits _ L). lia. Qed.
Lemma cut_sizes fuel : forall b, sizes (cut fuel b) = profile fuel (length b).
Proof.
  induction fuel as [|fuel IH]; intros b; [reflexivity|]. destruct b as [|x b]; [reflexivity|].
  cbn [cut profile length]. change (S (length b)) with (length (x :: b)).
  generalize (x :: b). clear x b. intros b. destruct (Nat.leb_spec (length b) top) as [T|T].
  - unfold sizes, map. rewrite filled_length by exact T. reflexivity.
  - cbn [sizes map]. rewrite filled_length; rewrite firstn_length_le; try lia. f_equal.
    change (sizes (cut fuel (skipn top b)) = profile fuel (length b - top)).
    rewrite IH, skipn_length. reflexivity.
Qed.
Theorem sizes_by_length b b' : length b = length b' -> sizes (frames b) = sizes (frames b').
Proof. intros L. unfold frames. rewrite !cut_sizes, L. reflexivity. Qed.

(** ... each is the size of a class ... *)
Theorem only_classes b s : In s (sizes (frames b)) -> exists n, n <= top /\ s = class n.
Proof.
  unfold frames. rewrite cut_sizes. generalize (length b) at 2 as n. generalize (length b) as fuel.
  induction fuel as [|fuel IH]; intros n; [contradiction|]. destruct n as [|n]; [contradiction|].
  cbn [profile]. destruct (Nat.leb_spec (S n) top) as [T|T].
  - intros [<-|[]]. eauto.
  - intros [<-|I]; [eauto|]. eapply IH; eauto.
Qed.

(** ... and lengths that differ within a class do not show: as many full frames, and a last one of
    the same class. *)
Lemma profile_step k r : forall fuel, 0 < r <= top -> k < fuel ->
  profile fuel (k * top + r) = repeat (class top) k ++ [class r].
Proof.
  induction k as [|k IH]; intros fuel R F; destruct fuel as [|fuel]; try lia.
  - cbn [Nat.mul Nat.add]. destruct r as [|r]; [lia|]. cbn [profile]. destruct (Nat.leb_spec (S r) top); [reflexivity|lia].
  - assert (N : exists m, S k * top + r = S m) by (exists (S k * top + r - 1); lia).
    destruct N as [m N]. rewrite N. cbn [profile]. rewrite <- N.
    destruct (Nat.leb_spec (S k * top + r) top); [simpl in *; lia|].
    replace (S k * top + r - top) with (k * top + r) by (simpl; lia).
    rewrite IH by lia. reflexivity.
Qed.
Theorem padding_hides b b' k r r' : length b = k * top + r -> length b' = k * top + r' ->
  0 < r <= top -> 0 < r' <= top -> class r = class r' -> sizes (frames b) = sizes (frames b').
Proof.
  intros L L' R R' C. unfold frames. rewrite !cut_sizes, L, L'.
  assert (G : forall x, 0 < x <= top -> k < k * top + x) by (intros x X; nia).
  rewrite !profile_step by auto. rewrite C. reflexivity.
Qed.
End Padding.

(** So against a host that adapts: with padding, answers whose chunks fill as many frames of each size
    look the same, where without it they must be equally long. *)
Load Setting.
Variable zero : B.
Variable top : nat.
Variable class : nat -> nat.
Definition seen_padded (b : list B) := sizes B (frames B zero top class b).
Notation request := (NonInterference.request B Rules).
Notation alike := (NonInterference.alike_request B Rules M Word start push counts model broken no_word
  (list nat) seen_padded).
Notation game := (NonInterference.game B Rules M Word start push counts model broken no_word cap room
  attempts (list nat) seen_padded).
Notation booted := (NonInterference.booted B Rules M Word).
Theorem padded_noninterference (coming coming' : list request) : Forall2 alike coming coming' ->
  forall host n, game host n (booted coming) [] = game host n (booted coming') [].
Proof. apply NonInterference.noninterference. Qed.
End OfMachines.
