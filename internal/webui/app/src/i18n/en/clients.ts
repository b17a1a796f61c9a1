export default {
  title: 'clients',
}
