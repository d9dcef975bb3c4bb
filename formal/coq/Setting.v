(** The opening lines of every file about the machines, by `Load`: their parameters as section
    variables, and their names at those. The file that loads it opens the section, and ends it. *)
Require Import List Arith Bool Lia.
Require Import Machines.
Import ListNotations.

Section OfMachines.
Variables B Rules M Word : Type.
Variable start : Rules -> list B -> list B -> M.
Variable push : M -> list B -> M.
Variable counts : M -> list (option nat).
Variable model : M -> option Word.
Variable broken : M -> bool.
Variable no_word : Word.
Variables cap room attempts : nat.

Notation enclave := (enclave B Rules M Word).
Notation slot := (slot B Rules M).
Notation state := (state M).
Notation event := (event B).
Notation plan := (plan B Rules).
Notation output := (output B Rules Word).
Notation usage := (usage Word).
Notation step := (step B Rules M Word start push counts model broken no_word cap room attempts).
Notation run := (run B Rules M Word start push counts model broken no_word cap room attempts).
Notation live := (live B Rules M Word start push counts model broken no_word cap attempts).
Notation question := (question B Rules M Word start push counts model broken no_word cap room attempts).
Notation exchange := (exchange B Rules M Word start push counts model broken no_word cap attempts).
Notation told := (told B Rules M Word counts model broken no_word).
Notation metered := (metered B Rules M start).
Notation boot := (boot B Rules M Word).
Notation Running := (Running B M).
Notation Asking := (Asking B M).
Notation Chunk := (Chunk B).
Notation Head := (Head B).
Ltac inv H := inversion H; subst; clear H.
