import com.jcraft.jsch.*;
import java.io.*;
import java.util.Map;

class Jsch {
    static final Map<String, String> env = System.getenv();

    static Session connect() throws Exception {
        JSch client = new JSch();
        client.setKnownHosts(env.get("OTHER_KNOWN_HOSTS"));
        if (env.containsKey("KEY")) client.addIdentity(env.get("KEY"));
        Session session = client.getSession(env.get("LOGIN"), env.get("HOST"), Integer.parseInt(env.get("PORT")));
        if (env.containsKey("PASSWORD")) session.setPassword(env.get("PASSWORD"));
        if (env.containsKey("CODE")) session.setUserInfo(new Asked());
        session.setConfig("server_host_key", "ecdsa-sha2-nistp256");
        session.connect();
        return session;
    }

    static class Asked implements UserInfo, UIKeyboardInteractive {
        public String[] promptKeyboardInteractive(String to, String name, String instruction, String[] prompts, boolean[] echo) {
            String[] answers = new String[prompts.length];
            java.util.Arrays.fill(answers, env.get("CODE"));
            return answers;
        }
        public String getPassphrase() { return null; }
        public String getPassword() { return null; }
        public boolean promptPassword(String message) { return false; }
        public boolean promptPassphrase(String message) { return false; }
        public boolean promptYesNo(String message) { return false; }
        public void showMessage(String message) {}
    }

    static int finish(Channel channel) throws Exception {
        InputStream out = channel.getInputStream();
        channel.connect();
        out.transferTo(System.out);
        while (!channel.isClosed()) Thread.sleep(10);
        return channel.getExitStatus();
    }

    static int exec() throws Exception {
        ChannelExec channel = (ChannelExec) connect().openChannel("exec");
        channel.setCommand(env.get("COMMAND"));
        channel.setInputStream(System.in);
        channel.setErrStream(System.err, true);
        return finish(channel);
    }

    static int shell() throws Exception {
        Channel channel = connect().openChannel("shell");
        channel.setInputStream(new ByteArrayInputStream((env.get("TYPED") + "\n").getBytes()));
        return finish(channel);
    }

    static int sftp() throws Exception {
        ChannelSftp files = (ChannelSftp) connect().openChannel("sftp");
        files.connect();
        files.put("up", env.get("FAR"));
        files.get(env.get("FAR"), "down");
        return 0;
    }

    public static void main(String[] args) throws Exception {
        int code = switch (args[0]) {
            case "exec" -> exec();
            case "shell" -> shell();
            case "sftp" -> sftp();
            default -> version();
        };
        System.out.flush();
        System.exit(code);
    }

    static int version() {
        System.out.println("JSch " + JSch.VERSION + " on Java " + System.getProperty("java.version"));
        return 0;
    }
}
