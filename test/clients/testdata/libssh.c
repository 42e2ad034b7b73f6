#include <fcntl.h>
#include <libssh/libssh.h>
#include <libssh/sftp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ssh_session session;

static void check(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "%s: %s\n", what, ssh_get_error(session));
    exit(1);
}

static int answer_with_code(void) {
    int proved = ssh_userauth_kbdint(session, NULL, NULL);
    for (; proved == SSH_AUTH_INFO; proved = ssh_userauth_kbdint(session, NULL, NULL))
        for (int i = 0; i < ssh_userauth_kbdint_getnprompts(session); i++) ssh_userauth_kbdint_setanswer(session, i, getenv("CODE"));
    return proved;
}

static void connect_to_host(void) {
    session = ssh_new();
    ssh_options_set(session, SSH_OPTIONS_HOST, getenv("HOST"));
    ssh_options_set(session, SSH_OPTIONS_PORT_STR, getenv("PORT"));
    ssh_options_set(session, SSH_OPTIONS_USER, getenv("LOGIN"));
    ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, getenv("KNOWN_HOSTS"));
    ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
    ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &(int){0});
    check(ssh_connect(session) == SSH_OK, "connect");
    check(ssh_session_is_known_server(session) == SSH_KNOWN_HOSTS_OK, "host key");
    if (getenv("PASSWORD")) {
        check(ssh_userauth_password(session, NULL, getenv("PASSWORD")) == SSH_AUTH_SUCCESS, "password");
        return;
    }
    ssh_userauth_none(session, NULL); // what it may sign with comes before the answer
    ssh_key key;
    check(ssh_pki_import_privkey_file(getenv("KEY"), NULL, NULL, NULL, &key) == SSH_OK, "key file");
    int proved = ssh_userauth_publickey(session, NULL, key);
    if (proved == SSH_AUTH_PARTIAL && getenv("CODE")) proved = answer_with_code();
    check(proved == SSH_AUTH_SUCCESS, "key");
}

static ssh_channel open_session(void) {
    ssh_channel channel = ssh_channel_new(session);
    check(ssh_channel_open_session(channel) == SSH_OK, "session");
    return channel;
}

static void send_all(ssh_channel channel, FILE *from) {
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, from)) > 0;)
        check(ssh_channel_write(channel, buffer, n) == (int)n, "write");
}

static int finish(ssh_channel channel) {
    char buffer[4096];
    for (int n; (n = ssh_channel_read(channel, buffer, sizeof buffer, 0)) > 0;) fwrite(buffer, 1, n, stdout);
    for (int n; (n = ssh_channel_read(channel, buffer, sizeof buffer, 1)) > 0;) fwrite(buffer, 1, n, stderr);
    ssh_channel_close(channel);
    return ssh_channel_get_exit_status(channel);
}

static int run_command(void) {
    ssh_channel channel = open_session();
    check(ssh_channel_request_exec(channel, getenv("COMMAND")) == SSH_OK, "exec");
    send_all(channel, stdin);
    ssh_channel_send_eof(channel);
    return finish(channel);
}

static int run_shell(void) {
    ssh_channel channel = open_session();
    check(ssh_channel_request_pty(channel) == SSH_OK, "pty");
    check(ssh_channel_request_shell(channel) == SSH_OK, "shell");
    char *typed = getenv("TYPED");
    ssh_channel_write(channel, typed, strlen(typed));
    ssh_channel_write(channel, "\n", 1);
    return finish(channel);
}

static void put(sftp_session files, const char *from, const char *to) {
    char buffer[32768];
    FILE *near = fopen(from, "r");
    sftp_file far = sftp_open(files, to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check(near && far, to);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, near)) > 0;) check(sftp_write(far, buffer, n) == (ssize_t)n, to);
    check(sftp_close(far) == SSH_OK, to);
}

static void get(sftp_session files, const char *from, const char *to) {
    char buffer[32768];
    FILE *near = fopen(to, "w");
    sftp_file far = sftp_open(files, from, O_RDONLY, 0);
    check(near && far, from);
    for (ssize_t n; (n = sftp_read(far, buffer, sizeof buffer)) > 0;) fwrite(buffer, 1, n, near);
    fclose(near);
}

static int copy(void) {
    sftp_session files = sftp_new(session);
    check(files && sftp_init(files) == SSH_OK, "sftp");
    put(files, "up", getenv("FAR"));
    get(files, getenv("FAR"), "down");
    return 0;
}

int main(int argc, char **argv) {
    if (!strcmp(argv[1], "version")) return !printf("libssh %s\n", ssh_version(0));
    connect_to_host();
    if (!strcmp(argv[1], "exec")) return run_command();
    if (!strcmp(argv[1], "shell")) return run_shell();
    return copy();
}
