#!/usr/bin/env escript
%% Erlang's ssh, which looks for keys under the names that OpenSSH gives them.

main(["version"]) ->
    ok = application:load(ssh),
    {ok, Version} = application:get_key(ssh, vsn),
    io:format("Erlang's ssh ~s on OTP ~s~n", [Version, erlang:system_info(otp_release)]);
main([What]) ->
    logger:set_primary_config(level, error), % or else it reports on stdout
    {ok, _} = application:ensure_all_started(ssh),
    halt(does(What, connect())).

connect() ->
    {ok, Known} = file:read_file(os:getenv("KNOWN_HOSTS")),
    {ok, Others} = file:read_file(os:getenv("OTHER_KNOWN_HOSTS")),
    ok = file:write_file("known_hosts", [Known, Others]),
    Options = [{user, os:getenv("LOGIN")}, {user_dir, "."}, {silently_accept_hosts, false}, {user_interaction, false}],
    {ok, Connection} = ssh:connect(os:getenv("HOST"), list_to_integer(os:getenv("PORT")), login() ++ Options),
    Connection.

login() ->
    case {os:getenv("PASSWORD"), os:getenv("CODE")} of
        {false, false} -> copy_key(os:getenv("KEY")), [{auth_methods, "publickey"}];
        {false, Code} -> copy_key(os:getenv("KEY")), [{password, Code}, {auth_methods, "publickey,keyboard-interactive"}]; % its answer to the one question
        {Password, _} -> [{password, Password}, {auth_methods, "password"}]
    end.

copy_key(Key) ->
    {ok, Text} = file:read_file(Key ++ ".pub"),
    Name = case Text of
        <<"ssh-ed25519", _/binary>> -> "id_ed25519";
        <<"ssh-rsa", _/binary>> -> "id_rsa";
        <<"ecdsa", _/binary>> -> "id_ecdsa"
    end,
    {ok, _} = file:copy(Key, Name),
    {ok, _} = file:copy(Key ++ ".pub", Name ++ ".pub"),
    ok = file:change_mode(Name, 8#600).

does("exec", Connection) ->
    {ok, Channel} = ssh_connection:session_channel(Connection, infinity),
    success = ssh_connection:exec(Connection, Channel, os:getenv("COMMAND"), infinity),
    ok = ssh_connection:send(Connection, Channel, input()),
    ok = ssh_connection:send_eof(Connection, Channel),
    finish(Channel, 255);
does("shell", Connection) ->
    {ok, Channel} = ssh_connection:session_channel(Connection, infinity),
    success = ssh_connection:ptty_alloc(Connection, Channel, []),
    ok = ssh_connection:shell(Connection, Channel),
    ok = ssh_connection:send(Connection, Channel, os:getenv("TYPED") ++ "\n"),
    finish(Channel, 255);
does("sftp", Connection) ->
    {ok, Files} = ssh_sftp:start_channel(Connection),
    {ok, Up} = file:read_file("up"),
    ok = ssh_sftp:write_file(Files, os:getenv("FAR"), Up),
    {ok, Down} = ssh_sftp:read_file(Files, os:getenv("FAR")),
    ok = file:write_file("down", Down),
    0.

input() ->
    case io:get_line("") of
        eof -> "";
        Line -> Line ++ input()
    end.

finish(Channel, Code) ->
    receive
        {ssh_cm, _, {data, Channel, 0, Data}} -> file:write(standard_io, Data), finish(Channel, Code);
        {ssh_cm, _, {data, Channel, 1, Data}} -> file:write(standard_error, Data), finish(Channel, Code);
        {ssh_cm, _, {exit_status, Channel, Status}} -> finish(Channel, Status);
        {ssh_cm, _, {closed, Channel}} -> Code;
        {ssh_cm, _, _} -> finish(Channel, Code)
    end.
