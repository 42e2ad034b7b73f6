VSCODE_AGENT_FOLDER=$dir nohup $HOME/SERVER/bin/code-server-oss --start-server --accept-server-license-terms LISTEN \
    --without-connection-token --telemetry-level=off --disable-workspace-trust </dev/null >log 2>&1 &
