(** The enclave's machines, as functions: what `enclave/core` decides, and the shell around it.

    [exchange] is `aegis_core::Exchange::step`; [number], [authorize], [give_up], [receive],
    [settle] and [lost] are the methods of `aegis_core::Control`; [enclave] puts them together as
    `enclave/src/channel.rs` and `enclave/src/relay.rs` do. This file is extracted to OCaml and
    compared with the Rust code step by step (`formal/conformance`).

    A request asks the host once for each attempt (DESIGN 3.9). Here every question has a number of its
    own, r, where the wire has (request, attempt): what is proved of r is proved of each attempt and
    its one grant. What `Exchange` does in one state machine, to ask again, is here the end of one
    question ([Kept]) and the beginning of the next ([Anew]).

    Bytes are abstract: nothing here can look into them but the meter, which is a parameter, as
    `aegis_core::meter` is a module of its own. Custodies, classes, codes are numbers of the wire. *)
Require Import List Arith Bool.
Import ListNotations.

Section Machines.
Variable B : Type.                                  (* a byte of plaintext *)
Variable Rules M Word : Type.                       (* metering rules, a meter, a model label *)
Variable start : Rules -> list B -> list B -> M.    (* `Meter::new`: content type and encoding *)
Variable push : M -> list B -> M.                   (* `Meter::push` *)
Variable counts : M -> list (option nat).           (* `Meter::finish`: by slot ... *)
Variable model : M -> option Word.                  (* ... the label ... *)
Variable broken : M -> bool.                        (* ... and whether something was not read *)
Variable no_word : Word.                            (* `Label::default` *)
Variable cap : nat.                                 (* `u32::MAX` *)
Variable room : nat.                                (* `OPEN` of control.rs *)
Variable attempts : nat.                            (* `limits::ATTEMPTS` *)

(** * One exchange *)

(** What of `Plan` decides: `provider` to `show_label`, and `replayable()`. The request's bytes are
    carried, never read. *)
Record plan := { p_provider : nat; p_class : nat; p_custody : nat; p_rules : option Rules;
  p_show : bool; p_again : bool; p_request : list B }.

Inductive event :=
| Granted (g : nat) | Denied (code wait : nat) | HostLost | HostTimeout
| Unreachable (held : bool) | NotTheProvider
| Head (status : nat) (kind coding : list B) (held : bool) | BadHead
| Lost | Timeout | Chunk (bytes : list B) | End | ClientGone.

Inductive refusal := HostUnavailable | HostTimedOut | Refused (code wait : nat)
| UpstreamUnreachable | UpstreamTls | UpstreamLost | UpstreamHead | UpstreamTimeout.
Inductive action := Send | Retry | Reply (r : refusal) | RelayHead | RelayChunk | Finish | Break.

Inductive source := NotDispatched | Provider | Partial | Missing | Aborted | Unmetered.
Record usage := { u_grant : nat; u_class : nat; u_source : source; u_counts : list (option nat);
  u_label : Word; u_first : nat; u_total : nat }.

(** What an attempt came to that may be made again; the client gets it if it is not. *)
Inductive kept := Answer | Refusal (r : refusal).

(** `State`: a grant is its number and when it came; an answer its class, first byte and meter. The
    number of the attempt is first. *)
Inductive state := Asked (n : nat) (k : option kept) | Sent (n g at_ms : nat)
| Relaying (g at_ms class first : nat) (m : option M) | Kept (n : nat) (k : kept) | Passing | Over.

Definition since (from now : nat) := Nat.min (now - from) cap.
Definition nothing : list (option nat) := repeat None 12.
Definition not_dispatched g := {| u_grant := g; u_class := 0; u_source := NotDispatched;
  u_counts := nothing; u_label := no_word; u_first := 0; u_total := 0 |}.

(** What is told of an answer when it ends: nothing of an unmetered one. *)
Definition told (p : plan) (m : option M) : option (bool * list (option nat) * Word) :=
  option_map (fun m => (broken m, counts m,
    if p_show p then match model m with Some w => w | None => no_word end else no_word)) m.

Definition seen (c : list (option nat)) : bool :=
  match nth 0 c None, nth 1 c None with None, None => false | _, _ => true end.

Definition judge (whole : bool) (broken : bool) (c : list (option nat)) : source :=
  match andb whole (negb broken), seen c, whole with
  | true, true, _ => Provider
  | false, true, _ => Partial
  | _, false, true => Missing
  | _, false, false => Aborted
  end.

(** `Exchange::usage`, without and with an answer. *)
Definition aborted g at_ms now := {| u_grant := g; u_class := 0; u_source := Aborted;
  u_counts := nothing; u_label := no_word; u_first := 0; u_total := since at_ms now |}.
Definition answered g at_ms class first t (whole : bool) now :=
  match t with
  | None => {| u_grant := g; u_class := class; u_source := Unmetered; u_counts := nothing;
      u_label := no_word; u_first := first; u_total := since at_ms now |}
  | Some (b, c, w) => {| u_grant := g; u_class := class; u_source := judge whole b c;
      u_counts := c; u_label := w; u_first := first; u_total := since at_ms now |}
  end.

Definition before_grant (e : event) : refusal :=
  match e with
  | Denied code wait => Refused code wait
  | HostTimeout => HostTimedOut
  | _ => HostUnavailable
  end.
Definition before_head (e : event) : refusal * bool :=
  match e with
  | NotTheProvider => (UpstreamTls, false)
  | Unreachable _ => (UpstreamUnreachable, false)
  | BadHead => (UpstreamHead, true)
  | Timeout => (UpstreamTimeout, true)
  | _ => (UpstreamLost, true)
  end.

Definition metered (p : plan) (status : nat) (kind coding : list B) : option M :=
  if status / 100 =? 2 then option_map (fun r => start r kind coding) (p_rules p) else None.

Definition is_end (e : event) := match e with End => true | _ => false end.

(** `is_transient` *)
Definition transient (status : nat) := existsb (Nat.eqb status) [429; 500; 502; 503; 529].
Definition may_again (p : plan) (n : nat) := andb (p_again p) (n <? attempts).

(** `Exchange::sent` *)
Definition sent (p : plan) (now n g at_ms : nat) (e : event) : state * action * option usage :=
  match e with
  | Head status kind coding held =>
      let class := Nat.min (status / 100) 5 in
      let m := metered p status kind coding in
      if andb (may_again p n) (andb held (transient status))
      then (Kept n Answer, Retry, Some (answered g at_ms class (since at_ms now) (told p m) true now))
      else (Relaying g at_ms class (since at_ms now) m, RelayHead, None)
  | Unreachable held =>
      if andb (may_again p n) held
      then (Kept n (Refusal UpstreamUnreachable), Retry, Some (not_dispatched g))
      else (Over, Reply UpstreamUnreachable, Some (not_dispatched g))
  | _ => let (r, dispatched) := before_head e in
      (Over, Reply r, Some (if dispatched then aborted g at_ms now else not_dispatched g))
  end.

Definition exchange (p : plan) (now : nat) (s : state) (e : event) : state * action * option usage :=
  match s with
  | Asked n k => match e, k with
      | Granted g, _ => (Sent n g now, Send, None)
      | _, None => (Over, Reply (before_grant e), None)
      | _, Some (Refusal r) => (Over, Reply r, None)
      | _, Some Answer => (Passing, RelayHead, None)
      end
  | Sent n g at_ms => sent p now n g at_ms e
  | Relaying g at_ms class first m => match e with
      | Chunk bytes =>
          (Relaying g at_ms class first (option_map (fun m => push m bytes) m), RelayChunk, None)
      | _ => (Over, if is_end e then Finish else Break,
              Some (answered g at_ms class first (told p m) (is_end e) now))
      end
  | Passing => match e with
      | Chunk _ => (Passing, RelayChunk, None)
      | _ => (Over, if is_end e then Finish else Break, None)
      end
  | Kept _ _ | Over => (Over, Break, None)
  end.

(** * The books of a boot *)

Record waiting := { w_custody : nat; w_given_up : bool }.
Record books := { b_requests : nat; b_waiting : nat -> option waiting;
  b_granted : list nat; b_owed : list usage }.

Inductive frame :=
| Grant (request grant custody : nat)
| Deny (request code wait : nat)
| Ack (grant : nat).

Inductive received :=
| Malformed                                    (* an error: the channel ends *)
| Allow (request grant : nat) | Refuse (request code wait : nat)
| Settle (request : nat) (u : usage)           (* a late grant; the request is told for the proofs *)
| Nothing.

Definition set {A} (f : nat -> option A) r v := fun x => if x =? r then v else f x.
Definition holds (g : nat) (l : list nat) := existsb (Nat.eqb g) l.
Definition owes (g : nat) (l : list usage) := existsb (fun u => u_grant u =? g) l.
Definition requests b := seq 1 (b_requests b).
Definition is_waiting b r := match b_waiting b r with Some _ => true | None => false end.
Definition waits b := filter (is_waiting b) (requests b).

Definition no_books := {| b_requests := 0; b_waiting := fun _ => None; b_granted := []; b_owed := [] |}.
Definition with_waiting b w := {| b_requests := b_requests b; b_waiting := w;
  b_granted := b_granted b; b_owed := b_owed b |}.

Definition number b := {| b_requests := S (b_requests b); b_waiting := b_waiting b;
  b_granted := b_granted b; b_owed := b_owed b |}.
Definition authorize b request custody : option books :=
  if room <=? length (waits b) + length (b_granted b) + length (b_owed b) then None
  else Some (with_waiting b (set (b_waiting b) request
    (Some {| w_custody := custody; w_given_up := false |}))).
Definition give_up b request := match b_waiting b request with
  | None => b
  | Some w => with_waiting b (set (b_waiting b) request
      (Some {| w_custody := w_custody w; w_given_up := true |}))
  end.
Definition settle b u :=
  if holds (u_grant u) (b_granted b) then
    {| b_requests := b_requests b; b_waiting := b_waiting b;
       b_granted := remove Nat.eq_dec (u_grant u) (b_granted b); b_owed := u :: b_owed b |}
  else b.
Definition lost b := with_waiting b (fun _ => None).

(** A question stays open until an answer to it is found valid in every respect. *)
Definition receive b (f : frame) : books * received :=
  match f with
  | Grant r g custody =>
      let b' := with_waiting b (set (b_waiting b) r None) in
      match b_waiting b r with
      | None => (b, Malformed)
      | Some w =>
          if negb (w_custody w =? custody)
             || owes g (b_owed b) || holds g (b_granted b)
          then (b, Malformed)
          else ({| b_requests := b_requests b'; b_waiting := b_waiting b';
                   b_granted := g :: b_granted b'; b_owed := b_owed b' |},
                if w_given_up w then Settle r (not_dispatched g) else Allow r g)
      end
  | Deny r code wait =>
      let b' := with_waiting b (set (b_waiting b) r None) in
      match b_waiting b r with
      | None => (b, Malformed)
      | Some w => (b', if w_given_up w then Nothing else Refuse r code wait)
      end
  | Ack g =>
      if owes g (b_owed b) then
        ({| b_requests := b_requests b; b_waiting := b_waiting b; b_granted := b_granted b;
            b_owed := filter (fun u => negb (u_grant u =? g)) (b_owed b) |}, Nothing)
      else (b, Malformed)
  end.

(** * The enclave: books, channel and exchanges *)

(** A question is open (for attempt n, after one that came to k; an answer may lie in its mailbox, not
    yet taken) or its exchange runs. *)
Inductive phase := Asking (n : nat) (k : option kept) (mail : option event) | Running (s : state).
Record slot := { s_session : nat; s_plan : plan; s_phase : phase }.
Record enclave := { e_books : books; e_up : bool; e_slots : nat -> option slot }.
Definition boot := {| e_books := no_books; e_up := false; e_slots := fun _ => None |}.

Inductive input :=
| Up                                     (* the control channel is open *)
| Down                                   (* ... is gone *)
| FromHost (f : frame)
| Ask (session : nat) (p : plan)         (* a client's request whose head was judged good *)
| Anew (r : nat)                         (* the shell does what [Retry] says *)
| Take (r : nat)                         (* the request's task wakes up and takes its answer *)
| Slow (r : nat)                         (* ... has waited too long *)
| Happens (r : nat) (e : event)          (* something on the provider's side *)
| Gone (r : nat).                        (* the client went away, the task is dropped *)

Inductive output :=
| Hello
| Authorize (session request attempt provider class custody : nat)
| Accepted (r g : nat)                   (* for the proofs: a grant went on the books *)
| Closing (r : nat) (u : usage)          (* a usage frame, first time *)
| Again (u : usage)                      (* a usage frame, on a new channel *)
| ToProvider (r g : nat) (p : plan)      (* the request leaves, to this provider, in these bytes *)
| ToClient (r session : nat) (a : action) (bytes : list B)
| Closed.                                (* the enclave ends the control channel *)

Definition put en r s := {| e_books := e_books en; e_up := e_up en; e_slots := set (e_slots en) r s |}.
Definition book en b := {| e_books := b; e_up := e_up en; e_slots := e_slots en |}.
Definition mail (e : event) (s : slot) := {| s_session := s_session s; s_plan := s_plan s;
  s_phase := match s_phase s with Asking n k None => Asking n k (Some e) | x => x end |}.
Definition deliver en r e := put en r (option_map (mail e) (e_slots en r)).

(** The channel is gone: whoever waits is told. *)
Definition down en := {| e_books := lost (e_books en); e_up := false;
  e_slots := fun r => if is_waiting (e_books en) r then option_map (mail HostLost) (e_slots en r)
                      else e_slots en r |}.

(** `Channel::settle` *)
Definition close en r u : enclave * list output := (book en (settle (e_books en) u), [Closing r u]).

Definition bytes_of (e : event) : list B := match e with Chunk b => b | _ => [] end.

(** `Live::step`: the exchange steps, what it says is done. *)
Definition live en now r (s : slot) (x : state) (e : event) : enclave * list output :=
  let '(x', a, u) := exchange (s_plan s) now x e in
  let en' := put en r (Some {| s_session := s_session s; s_plan := s_plan s; s_phase := Running x' |}) in
  let out := match a, e with
    | Send, Granted g => [ToProvider r g (s_plan s)]
    | _, _ => [ToClient r (s_session s) a (bytes_of e)]
    end in
  match u with
  | None => (en', out)
  | Some u => let (en'', o) := close en' r u in (en'', o ++ out)
  end.

(** `Channel::ask`: the next question, for attempt n of that plan. *)
Definition question en now session p n k : enclave * list output :=
  let b := number (e_books en) in
  let r := b_requests b in
  let s := {| s_session := session; s_plan := p; s_phase := Asking n k None |} in
  match (if e_up en then authorize b r (p_custody p) else None) with
  | None => live (book en b) now r s (Asked n k) HostLost
  | Some b' => (put (book en b') r (Some s),
                [Authorize session r n (p_provider p) (p_class p) (p_custody p)])
  end.

(** `Asked::drop`: the question is given up; an answer not taken is a grant that nobody will use. *)
Definition drop_asked en r (m : option event) : enclave * list output :=
  let en' := book en (give_up (e_books en) r) in
  match m with Some (Granted g) => close en' r (not_dispatched g) | _ => (en', []) end.

Definition step (en : enclave) (now : nat) (i : input) : enclave * list output :=
  match i with
  | Up => ({| e_books := e_books en; e_up := true; e_slots := e_slots en |},
           Hello :: map Again (b_owed (e_books en)))
  | Down => (down en, [])
  | FromHost f => if e_up en then
      let (b, r) := receive (e_books en) f in
      match r with
      | Malformed => (down (book en b), [Closed])
      | Allow r g => (deliver (book en b) r (Granted g), [Accepted r g])
      | Refuse r code wait => (deliver (book en b) r (Denied code wait), [])
      | Settle r u => let (en', o) := close (book en b) r u in (en', Accepted r (u_grant u) :: o)
      | Nothing => (book en b, [])
      end
      else (en, [])
  | Ask session p => question en now session p 1 None
  | Anew r => match e_slots en r with
      | Some {| s_session := session; s_plan := p; s_phase := Running (Kept n k) |} =>
          let done := Some {| s_session := session; s_plan := p; s_phase := Running Over |} in
          question (put en r done) now session p (S n) (Some k)
      | _ => (en, [])
      end
  | Take r => match e_slots en r with
      | Some {| s_session := c; s_plan := p; s_phase := Asking n k (Some e) |} =>
          let (en', o) := drop_asked en r None in
          let (en'', o') := live en' now r
            {| s_session := c; s_plan := p; s_phase := Asking n k None |} (Asked n k) e in
          (en'', o ++ o')
      | _ => (en, [])
      end
  | Slow r => match e_slots en r with
      | Some {| s_session := c; s_plan := p; s_phase := Asking n k m |} =>
          let (en', o) := drop_asked en r m in
          let (en'', o') := live en' now r
            {| s_session := c; s_plan := p; s_phase := Asking n k None |} (Asked n k) HostTimeout in
          (en'', o ++ o')
      | _ => (en, [])
      end
  | Happens r e => match e_slots en r with
      | Some {| s_session := n; s_plan := p; s_phase := Running x |} =>
          live en now r {| s_session := n; s_plan := p; s_phase := Running x |} x e
      | _ => (en, [])
      end
  | Gone r => match e_slots en r with
      | Some {| s_session := c; s_plan := p; s_phase := Asking n k m |} =>
          let (en', o) := drop_asked en r m in
          let (en'', o') := live en' now r
            {| s_session := c; s_plan := p; s_phase := Asking n k None |} (Asked n k) ClientGone in
          (en'', o ++ o')
      | Some {| s_session := c; s_plan := p; s_phase := Running x |} =>
          live en now r {| s_session := c; s_plan := p; s_phase := Running x |} x ClientGone
      | None => (en, [])
      end
  end.

(** A run: what comes out, in order, and where it ends. Inputs come with the monotonic time. *)
Fixpoint run (en : enclave) (is : list (nat * input)) : enclave * list output :=
  match is with
  | [] => (en, [])
  | (now, i) :: rest =>
      let (en', o) := step en now i in
      let (en'', o') := run en' rest in (en'', o ++ o')
  end.
End Machines.
