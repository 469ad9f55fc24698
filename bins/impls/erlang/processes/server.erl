%% A chat server of processes.
%%
%% - Order: one process is the room. It takes a message from its mailbox and sends it to the writers of
%%   all clients before it takes the next; messages from one process to another keep their order.
%% - A slow client lets its writer's mailbox fill. The room waits for it, and with the room all senders;
%%   if it does not take half of that within the grace, it lags, and gets nothing more until it has
%%   taken all.
%% - Cost: two processes a client, some KiB each.
%% - End: a writer that is told to stop has written all that came before, and closes the connection.
-module(server).
-export([main/1, init/1, handle_event/2, handle_call/2]).

%% Messages that wait for a client at most. A judgement: some milliseconds of a flood.
-define(QUEUE_LEN, 1024).
%% How many milliseconds the room waits for a client until half of that is taken. A judgement.
-define(GRACE, 100).
%% How many milliseconds clients have at the end to take what is left. A judgement.
-define(DEADLINE, 3000).

main([Address]) ->
    case parse(Address) of
        {ok, Ip, Port} -> listen(Ip, Port);
        error -> usage()
    end;
main(_) ->
    usage().

usage() ->
    fail(2, "usage: server ADDRESS, an IP address and a port like 127.0.0.1:8080~n", []).

fail(Code, Format, Values) ->
    io:format(standard_error, Format, Values),
    halt(Code).

parse(Address) ->
    try
        [Host, Port] = string:split(Address, ":", trailing),
        {ok, Ip} = inet:parse_strict_address(string:trim(Host, both, "[]")),
        {ok, Ip, list_to_integer(Port)}
    catch
        error:_ -> error
    end.

listen(Ip, Port) ->
    Family = case tuple_size(Ip) of 4 -> inet; 8 -> inet6 end,
    Options = [Family, binary, {ip, Ip}, {packet, 1}, {active, false}, {reuseaddr, true}, {backlog, 1024},
               {nodelay, true}, {exit_on_close, false}],
    case gen_tcp:listen(Port, Options) of
        {ok, Listener} -> serve(Listener);
        {error, Reason} -> fail(1, "error: cannot listen: ~s~n", [inet:format_error(Reason)])
    end.

serve(Listener) ->
    ok = gen_event:delete_handler(erl_signal_server, erl_signal_handler, []),
    ok = gen_event:add_handler(erl_signal_server, ?MODULE, self()),
    Room = spawn_link(fun() -> room(#{}) end),
    spawn_link(fun() -> accept_all(Listener, Room) end),
    {ok, {Ip, Port}} = inet:sockname(Listener),
    Host = case Ip of {_, _, _, _} -> inet:ntoa(Ip); _ -> ["[", inet:ntoa(Ip), "]"] end,
    io:format("listening on ~s:~b~n", [Host, Port]),
    receive sigterm -> ok end,
    Room ! {stop, self()},
    receive gone -> ok after ?DEADLINE -> ok end,
    %% What sockets hold for clients that do not read is not waited for.
    halt(0, [{flush, false}]).

%% The handler of signals tells the process that waits for them.
init(Waiting) -> {ok, Waiting}.
handle_event(Signal, Waiting) -> Waiting ! Signal, {ok, Waiting}.
handle_call(_, Waiting) -> {ok, ok, Waiting}.

accept_all(Listener, Room) ->
    case gen_tcp:accept(Listener) of
        {ok, Socket} ->
            Reader = spawn(fun() -> receive start -> read(Socket, Room) end end),
            ok = gen_tcp:controlling_process(Socket, Reader),
            Reader ! start;
        {error, Reason} ->
            io:format(standard_error, "cannot accept a client: ~p~n", [Reason]),
            %% There may be too many, and it takes one to leave.
            timer:sleep(?GRACE)
    end,
    accept_all(Listener, Room).

%% The room: its clients are writers, with what they have not written and whether they lag.
room(Clients) ->
    receive
        {say, Reader, Message} ->
            Said = maps:map(fun(Writer, Client) -> say(Writer, Message, Client) end, Clients),
            Reader ! said,
            room(Said);
        {join, Reader, Writer, Waiting} ->
            Reader ! said,
            monitor(process, Writer),
            room(Clients#{Writer => {Waiting, false}});
        {leave, Writer} ->
            Writer ! stop,
            room(maps:remove(Writer, Clients));
        {'DOWN', _, process, Writer, _} ->
            room(maps:remove(Writer, Clients));
        {stop, Main} ->
            Writers = maps:keys(Clients),
            [Writer ! stop || Writer <- Writers],
            ended(Main, Writers)
    end.

say(Writer, Message, {Waiting, Lags}) ->
    case lags(Waiting, Lags) of
        true ->
            {Waiting, true};
        false ->
            counters:add(Waiting, 1, 1),
            Writer ! {message, Message},
            {Waiting, false}
    end.

lags(Waiting, true) ->
    counters:get(Waiting, 1) > 0;
lags(Waiting, false) ->
    counters:get(Waiting, 1) >= ?QUEUE_LEN andalso stays_full(Waiting, ?GRACE).

stays_full(Waiting, Left) ->
    IsFull = counters:get(Waiting, 1) > ?QUEUE_LEN div 2,
    case IsFull andalso Left > 0 of
        true -> timer:sleep(1), stays_full(Waiting, Left - 1);
        false -> IsFull
    end.

%% After the end, what is said is heard by nobody.
ended(Main, []) ->
    Main ! gone,
    ended(none, none);
ended(Main, Writers) ->
    receive
        {say, Reader, _} -> Reader ! said, ended(Main, Writers);
        {join, Reader, Writer, _} -> Reader ! said, Writer ! stop, ended(Main, Writers);
        {leave, _} -> ended(Main, Writers);
        {'DOWN', _, process, Writer, _} when Writers =/= none -> ended(Main, lists:delete(Writer, Writers));
        {'DOWN', _, process, _, _} -> ended(Main, Writers)
    end.

%% Reads what a client sends; the socket is this process's. Before that, the client is in the room: it
%% gets all from its own first message on.
read(Socket, Room) ->
    Waiting = counters:new(1, [atomics]),
    Reader = self(),
    Writer = spawn(fun() -> write(Socket, Waiting, Reader) end),
    Room ! {join, self(), Writer, Waiting},
    receive said -> ok end,
    Link = monitor(process, Writer),
    say_all(Socket, Room),
    Room ! {leave, Writer},
    receive {'DOWN', Link, _, _, _} -> ok end,
    drain(Socket),
    gen_tcp:close(Socket).

%% The driver discards an unfinished message at the end.
say_all(Socket, Room) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, Message} ->
            Room ! {say, self(), Message},
            receive said -> say_all(Socket, Room) end;
        {error, _} ->
            ok
    end.

%% Closing a socket with unread bytes would reset the connection.
drain(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, _} -> drain(Socket);
        {error, _} -> ok
    end.

write(Socket, Waiting, Reader) ->
    receive
        {message, Message} ->
            case gen_tcp:send(Socket, Message) of
                ok ->
                    counters:sub(Waiting, 1, 1),
                    write(Socket, Waiting, Reader);
                {error, _} ->
                    %% This ends the reading.
                    gen_tcp:shutdown(Socket, read_write)
            end;
        stop ->
            gen_tcp:shutdown(Socket, write)
    end.
