(** The machines as OCaml, for `formal/oracle`. Natural numbers become OCaml's 63-bit integers, and
    arithmetic OCaml's; the conformance tests stay below the bound. *)
Require Import Arith Machines.
Require Import Extraction ExtrOcamlBasic ExtrOcamlNatInt.
Extract Inlined Constant Nat.min => "Stdlib.min".
Extract Inlined Constant Nat.leb => "(<=)".
Extract Constant Nat.div => "fun n m -> if m = 0 then 0 else n / m".
Extraction "machines.ml" step boot.
