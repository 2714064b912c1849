'use strict';
// For Node below 22.21, and 23: makes fetch and node:https send https URLs through HTTPS_PROXY, as later ones do with
// NODE_USE_ENV_PROXY=1. What has an agent or a dispatcher that connects by itself is left alone.

const [major, minor] = process.versions.node.split('.').map(Number);
const url = process.env.HTTPS_PROXY || process.env.https_proxy;
if (url && (major < 22 || (major === 22 && minor < 21) || major === 23)) install(new URL(url));

function install(proxy) {
  const http = require('node:http');
  const https = require('node:https');

  const spared = (process.env.NO_PROXY || process.env.no_proxy || '').toLowerCase().split(/[\s,]+/).filter(Boolean);

  function isDirect(host) {
    const name = String(host).toLowerCase().replace(/^\[|\]$/g, '');
    return spared.some((entry) => {
      const end = entry === name ? entry : entry.replace(/:\d+$/, '').replace(/^\*?\./, '');
      return entry === '*' || name === end || name.endsWith(`.${end}`);
    });
  }

  function tunnel(host, port, done) {
    const target = `${host.includes(':') ? `[${host}]` : host}:${port || 443}`;
    const headers = { host: target };
    const request = http.request({
      host: proxy.hostname, port: proxy.port || 80, method: 'CONNECT', path: target, headers, agent: false,
    });
    request.once('error', done);
    request.once('connect', (response, socket) => {
      if (response.statusCode === 200) return done(null, socket);
      socket.destroy();
      done(new Error(`the proxy answered ${response.statusCode} for ${target}`));
    });
    request.end();
  }

  const direct = https.Agent.prototype.createConnection;
  https.Agent.prototype.createConnection = function createConnection(options, done) {
    const host = options.host || 'localhost';
    if (options.socket || options.socketPath || isDirect(host)) return direct.call(this, options, done);
    tunnel(host, options.port, (error, socket) => {
      if (error) return done(error);
      done(null, direct.call(this, { ...options, socket }));
    });
  };

  // Node's fetch is loaded when it is first needed, which takes 20 ms: programs that do not call it are spared that.
  const key = Symbol.for('undici.globalDispatcher.1');
  const native = globalThis.fetch;
  let isReady = false;
  if (native) {
    globalThis.fetch = function fetch(input, init = undefined) {
      if (!isReady) prepare();
      return native.call(this, input, init);
    };
  }

  function prepare() {
    isReady = true;
    if (!globalThis[key]) native('data:,').catch(() => {});
    const Dispatcher = globalThis[key].constructor;
    if (Dispatcher.name === 'Agent') globalThis[key] = proxied(Dispatcher);
  }

  function proxied(Agent) {
    const net = require('node:net');
    const tls = require('node:tls');
    return new Agent({
      connect({ protocol, hostname, port, servername }, done) {
        const host = hostname.replace(/^\[|\]$/g, '');
        const secured = (socket) => {
          const names = net.isIP(host) ? {} : { servername: servername || host };
          const to = socket ? { socket } : { host, port: port || 443 };
          settle(tls.connect({ ...to, ...names, ALPNProtocols: ['http/1.1'] }), 'secureConnect', done);
        };
        if (protocol !== 'https:') settle(net.connect(port || 80, host), 'connect', done);
        else if (isDirect(host)) secured();
        else tunnel(host, port, (error, socket) => (error ? done(error) : secured(socket)));
      },
    });
  }

  function settle(socket, event, done) {
    const failed = (error) => done(error, null);
    socket.once('error', failed);
    socket.once(event, () => {
      socket.removeListener('error', failed);
      done(null, socket);
    });
  }
}
