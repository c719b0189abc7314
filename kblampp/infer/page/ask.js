// One question at a time: the answer, whether it is a refusal, and what it rests on.

async function told(path, options) {
  const response = await fetch(path, options);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error || `status ${response.status}`);
  return body;
}

async function drawStatus() {
  const health = await told("health");
  byId("status").textContent = `${health.model}, store ${health.store} with ` +
    `${health.num_facts.toLocaleString("en")} facts, ${health.index} search`;
}

function drawAnswer(item) {
  byId("answer").replaceChildren(
    el("h2", {}, item.question),
    item.question_time && el("p", { class: "quiet" }, `about ${inWords(item.question_time)}`) || "",
    el("p", { class: `said ${item.is_refusal ? "refused" : ""}`, id: "said" }, item.answer || "(nothing)"),
    el("p", { class: "quiet" }, item.is_refusal ? "A refusal. " : "",
      `Store ${item.store}, ${item.num_prompt_tokens} tokens of prompt, ${item.num_answer_tokens} of answer`),
    ...evidenceOf(item).filter(Boolean));
}

const drawError = (error) =>
  byId("answer").replaceChildren(el("p", { class: "error", role: "alert" }, error.message));

async function ask(event) {
  event.preventDefault();
  const body = { question: byId("question").value };
  if (byId("time").value.trim()) body.question_time = byId("time").value.trim();
  byId("send").disabled = true;
  try {
    drawAnswer(await told("qa_with_paths", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));
    await drawStatus();
  } catch (error) {
    drawError(error);
  } finally {
    byId("send").disabled = false;
  }
}

byId("form").addEventListener("submit", ask);
drawStatus().catch(drawError);
