// Runs one story with amazon-cognito-identity-js against a local server, and prints what came of each step as JSON.
// Arguments: address of the server, id of the pool, id of the client, command to read the last code that was sent.
const { CognitoUserPool, CognitoUser, AuthenticationDetails, CognitoUserAttribute } = require("amazon-cognito-identity-js");

const [endpoint, UserPoolId, ClientId] = process.argv.slice(2);
const memory = new Map();
const Storage = {
  setItem: (key, value) => memory.set(key, value),
  getItem: (key) => (memory.has(key) ? memory.get(key) : null),
  removeItem: (key) => memory.delete(key),
  clear: () => memory.clear(),
};
const pool = new CognitoUserPool({ UserPoolId, ClientId, endpoint, Storage });
const userOf = (Username) => new CognitoUser({ Username, Pool: pool, Storage });
const wait = (run) => new Promise((resolve, reject) => run((error, value) => (error ? reject(error) : resolve(value))));
const lastCode = async () => (await (await fetch(new URL("/code", endpoint))).text()).trim();

function signIn(user, Password, answers = {}) {
  return new Promise((resolve, reject) =>
    user.authenticateUser(new AuthenticationDetails({ Username: user.getUsername(), Password }), {
      onSuccess: resolve,
      onFailure: reject,
      newPasswordRequired: () => user.completeNewPasswordChallenge(answers.password, {}, { onSuccess: resolve, onFailure: reject }),
      totpRequired: async () => user.sendMFACode(await answers.code(), { onSuccess: resolve, onFailure: reject }, "SOFTWARE_TOKEN_MFA"),
    })
  );
}

async function main() {
  const steps = {};
  const email = new CognitoUserAttribute({ Name: "email", Value: "joe@x.example" });
  steps.signUp = (await wait((done) => pool.signUp("joe", "Correct-Horse7", [email], null, done))).userConfirmed;
  const joe = userOf("joe");
  steps.confirm = await wait(async (done) => joe.confirmRegistration(await lastCode(), false, done));
  steps.wrong = await signIn(userOf("joe"), "Wrong-Horse7").catch((error) => error.code);
  const session = await signIn(joe, "Correct-Horse7");
  steps.username = session.getIdToken().payload["cognito:username"];
  steps.attributes = (await wait((done) => joe.getUserAttributes(done))).map((item) => item.getName());
  steps.refresh = (await wait((done) => joe.refreshSession(session.getRefreshToken(), done))).isValid();
  steps.change = await wait((done) => joe.changePassword("Correct-Horse7", "Other-Horse8", done));
  steps.newPassword = (await signIn(userOf("temporary"), "Correct-Horse7", { password: "Other-Horse8" })).isValid();
  await new Promise((onSuccess, onFailure) => joe.globalSignOut({ onSuccess, onFailure }));
  steps.signedOut = await signIn(userOf("joe"), "Other-Horse8").then((found) => found.isValid());
  console.log(JSON.stringify(steps));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
