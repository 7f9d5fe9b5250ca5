// The search of the theme reads `-word` as "without word". People search for options, `--resume`: leading dashes are removed
// from what is sent to its worker, not from what the reader typed.
const QUERY = 2; // the type of a message with a query
const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (message, ...rest) {
  const isQuery = message && message.type === QUERY && typeof message.data === "string";
  const sent = isQuery ? { ...message, data: message.data.replace(/(^|\s)[-+]+/g, "$1") } : message;
  return post.call(this, sent, ...rest);
};
