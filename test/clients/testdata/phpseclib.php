<?php
require 'phpseclib3/autoload.php';

function login($client)
{
    $known = explode(' ', trim(file_get_contents(getenv('KNOWN_HOSTS'))), 2)[1];
    if (strpos($known, $client->getServerPublicHostKey()) !== 0) {
        fwrite(STDERR, "another host key\n");
        exit(1);
    }
    $proofs = [getenv('PASSWORD')];
    if (getenv('KEY')) {
        $proofs = [phpseclib3\Crypt\PublicKeyLoader::load(file_get_contents(getenv('KEY')))];
    }
    if (getenv('CODE')) {
        $proofs[] = getenv('CODE'); // its answer to whatever is asked
    }
    if (!$client->login(getenv('LOGIN'), ...$proofs)) {
        fwrite(STDERR, "no login\n");
        exit(1);
    }
    return $client;
}

switch ($argv[1]) {
    case 'version':
        echo 'phpseclib 3 on PHP ', PHP_VERSION, "\n";
        break;
    case 'shell':
        $client = login(new phpseclib3\Net\SSH2(getenv('HOST'), getenv('PORT')));
        $client->write(getenv('TYPED') . "\n");
        echo $client->read();
        exit($client->getExitStatus());
    case 'sftp':
        $files = login(new phpseclib3\Net\SFTP(getenv('HOST'), getenv('PORT')));
        $ok = $files->put(getenv('FAR'), 'up', phpseclib3\Net\SFTP::SOURCE_LOCAL_FILE) && $files->get(getenv('FAR'), 'down');
        exit($ok ? 0 : 1);
}
