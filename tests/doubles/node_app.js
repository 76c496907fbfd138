// What real_apps.py says, on node's own http server. node node_app.js PORT
const http = require('http');
let count = 0;
http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    count += 1;
    const path = request.url.split('?')[0];
    const said = `${count} ${request.method} ${path} ${Buffer.concat(pieces).toString('hex')}`;
    response.writeHead(200, {'Content-Length': said.length});
    response.end(said);
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
