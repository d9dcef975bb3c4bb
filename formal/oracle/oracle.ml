(* Answers, for every line on stdin, what the model does: one line of outputs.
   The protocol of lines is in formal/conformance/src/line.rs.

   A byte of the model is here one event of an answer's stream: with usage figures, or without. The
   meter below is the model's own, for such streams: the last figures count, and an answer in an
   unknown encoding is not read. *)
open Machines

type byte = Figures of int * int * string | Other
type meter = { input : int option; output : int option; word : string option; unread : bool }

let start () _ coding =
  { input = None; output = None; word = None; unread = coding <> [] }
let push m = List.fold_left (fun m b -> match b with
  | Figures (i, o, w) when not m.unread -> { m with input = Some i; output = Some o; word = Some w }
  | _ -> m) m
let counts m = m.input :: m.output :: List.init 10 (fun _ -> None)

let step = step start push counts (fun m -> m.word) (fun m -> m.unread) "" 0xFFFF_FFFF 65536 4

let int = int_of_string
let byte text = match String.split_on_char '.' text with
  | [ "n" ] -> Other
  | [ i; o; w ] -> Figures (int i, int o, w)
  | _ -> failwith ("not a byte: " ^ text)

let happening = function
  | [ "unreachable" ] -> Unreachable false
  | [ "unreachable"; "held" ] -> Unreachable true
  | [ "stranger" ] -> NotTheProvider
  | "head" :: status :: coding :: held ->
    Head (int status, [], (if coding = "-" then [] else [ Other ]), held = [ "held" ])
  | [ "badhead" ] -> BadHead
  | [ "lost" ] -> Lost
  | [ "timeout" ] -> Timeout
  | "chunk" :: bytes -> Chunk (List.map byte bytes)
  | [ "end" ] -> End
  | [ "granted"; g ] -> Granted (int g)
  | [ "hostlost" ] -> HostLost
  | words -> failwith ("not an event: " ^ String.concat " " words)

(* The model numbers questions, the lines name a request and its attempt. *)
let questions = ref 0
let requests = ref 0
let named : (int * int, int) Hashtbl.t = Hashtbl.create 64
let latest : (int, int) Hashtbl.t = Hashtbl.create 64
let wire : (int, int * int) Hashtbl.t = Hashtbl.create 64
(* Question 0 never is. *)
let find table key = Option.value (Hashtbl.find_opt table key) ~default:0
let another request attempt =
  incr questions;
  Hashtbl.replace named (request, attempt) !questions;
  Hashtbl.replace latest request !questions;
  Hashtbl.replace wire !questions (request, attempt)
let forget () =
  questions := 0; requests := 0;
  Hashtbl.reset named; Hashtbl.reset latest; Hashtbl.reset wire
let now_at r = find latest (int r)

let input = function
  | [ "up" ] -> Up
  | [ "down" ] -> Down
  | [ "grant"; r; a; g; c ] -> FromHost (Grant (find named (int r, int a), int g, int c))
  | [ "deny"; r; a; code; wait ] ->
    FromHost (Deny (find named (int r, int a), int code, int wait))
  | [ "ack"; g ] -> FromHost (Ack (int g))
  | [ "ask"; session; provider; kind; custody; metered; show ] ->
    incr requests;
    another !requests 1;
    (* Chat is metered and replayable, the list of models neither. *)
    Ask (int session, { p_provider = int provider; p_class = int kind; p_custody = int custody;
      p_rules = (if metered = "1" then Some () else None); p_show = show = "1";
      p_again = metered = "1" && custody = "2"; p_request = [] })
  | [ "take"; r ] -> Take (now_at r)
  | [ "slow"; r ] -> Slow (now_at r)
  | [ "gone"; r ] -> Gone (now_at r)
  | "happens" :: r :: event -> Happens (now_at r, happening event)
  | words -> failwith ("not an input: " ^ String.concat " " words)

let refusal = function
  | HostUnavailable -> "host_unavailable" | HostTimedOut -> "host_timeout"
  | Refused (code, wait) -> Printf.sprintf "denied %d %d" code wait
  | UpstreamUnreachable -> "upstream_unreachable" | UpstreamTls -> "upstream_tls"
  | UpstreamLost -> "upstream_lost" | UpstreamHead -> "upstream_head"
  | UpstreamTimeout -> "upstream_timeout"
let source = function
  | NotDispatched -> 0 | Provider -> 1 | Partial -> 2 | Missing -> 3 | Aborted -> 4 | Unmetered -> 5
let usage u = Printf.sprintf "usage %d %d %d [%s] %s %d %d" u.u_grant u.u_class (source u.u_source)
  (String.concat "," (List.map (function None -> "" | Some n -> string_of_int n) u.u_counts))
  u.u_label u.u_first u.u_total
let bytes = String.concat "" 
let shown = function Figures (i, o, w) -> Printf.sprintf " %d.%d.%s" i o w | Other -> " n"
let output = function
  | Hello -> Some "hello"
  | Authorize (s, q, a, p, k, c) ->
    let r, named = Hashtbl.find wire q in
    if a <> named then failwith "attempt";
    Some (Printf.sprintf "authorize %d %d %d %d %d %d" s r a p k c)
  | Accepted _ -> None
  | Closing (_, u) | Again u -> Some (usage u)
  | ToProvider (q, g, p) -> Some (Printf.sprintf "send %d %d %d" (fst (Hashtbl.find wire q)) g p.p_provider)
  | ToClient (_, _, Retry, _) -> None
  | ToClient (q, s, a, b) ->
    Some (Printf.sprintf "client %d %d " (fst (Hashtbl.find wire q)) s ^ (match a with
      | Reply why -> "error " ^ refusal why
      | RelayHead -> "head" | RelayChunk -> "chunk" ^ bytes (List.map shown b)
      | Finish -> "finish" | Break -> "break" | Send | Retry -> failwith "send"))
  | Closed -> Some "closed"

let () =
  let enclave = ref boot in
  try
    while true do
      match String.split_on_char ' ' (input_line stdin) with
      | [ "reset" ] -> enclave := boot; forget (); print_endline "reset"
      | now :: words ->
        let after, outputs = step !enclave (int now) (input words) in
        enclave := after;
        (* The shell does at once what [Retry] says. *)
        let again = List.concat_map (function
          | ToClient (q, _, Retry, _) ->
            let request, attempt = Hashtbl.find wire q in
            another request (attempt + 1);
            let after, outputs = step !enclave (int now) (Anew q) in
            enclave := after;
            outputs
          | _ -> []) outputs in
        let outputs = outputs @ again in
        (* The order in which debts are told again is not part of the model. *)
        let lines = List.filter_map output outputs in
        let lines = if words = [ "up" ] then List.sort compare lines else lines in
        print_string (String.concat ";" lines ^ "\n")
      | [] -> ()
    done
  with End_of_file -> ()
